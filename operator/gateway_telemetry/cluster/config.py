"""Find the cluster and its credentials once, for our own client and for kopf's watches alike.

``kubernetes.aio.config`` reads kubeconfig files, runs exec plugins and reads the Pod's service account. It is
imported when a connection is loaded, so commands that need no cluster never pay for it (ADR 0004). What it does
not do is kept here: tokens are read again when they may have changed or were refused, the kubeconfig is never
written back, and nothing here prints a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway_telemetry.cluster.errors import ConfigError

if TYPE_CHECKING:
    import kopf
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config.kube_config import KubeConfigLoader

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet projects token, CA and namespace into a Pod."""
REFRESH_SECONDS = 60.0
"""How old credentials may be before their source is asked again (client-go reads token files as often)."""


class Credentials:
    """The `Authorization` header, kept fresh; callers may ask at any rate and from many tasks at once."""

    def __init__(self, load: Callable[[], Awaitable[Configuration]], first: Configuration) -> None:
        self._load = load
        self._configuration = first
        self._lock = asyncio.Lock()
        self._given_to_kopf: str | None = None

    @property
    def configuration(self) -> Configuration:
        """The newest configuration; its certificate files may change when an exec plugin hands out new ones."""
        return self._configuration

    async def authorization(self, *, rejected: str | None = None) -> str | None:
        """Return the header's value, or None when the client certificate alone identifies us.

        Args:
            rejected: the value that the API server just answered with 401. Its source is loaded from the start,
                once, no matter how many requests were refused with it.

        Raises:
            ConfigError: the source gives nothing usable now; it may at the next call.
        """
        async with self._lock:
            if rejected is None or (current := await self._header()) == rejected:
                if rejected is not None:
                    self._configuration = await self._load()
                current = await self._header()
            return current

    async def renewed(self) -> None:
        """Load the source again: a client certificate without a header was refused."""
        async with self._lock:
            self._configuration = await self._load()

    async def for_kopf(self) -> str | None:
        """Return the header for a login of kopf, which asks again only after a 401."""
        self._given_to_kopf = await self.authorization(rejected=self._given_to_kopf)
        return self._given_to_kopf

    async def _header(self) -> str | None:
        # The hook behind this reads token files and runs plugins again.
        with _readable("the credentials are"):
            value: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        if value is None:
            return None
        scheme, _, token = value.strip().partition(" ")
        return f"{'Bearer' if scheme.lower() == 'bearer' else scheme} {token.strip()}"

    def __repr__(self) -> str:
        return "Credentials(***)"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where the API server is and how to talk to it.

    Attributes:
        server: URL without trailing slash, e.g. ``https://10.96.0.1:443``.
        ssl_context: trust and client certificate; None for a plain-HTTP server.
        credentials: gives the `Authorization` header.
        default_namespace: the context's, or the Pod's own.
        proxy_url: the kubeconfig's ``proxy-url``; proxy environment variables are never used for the API server.
        tls_server_name: the kubeconfig's ``tls-server-name``.
    """

    server: str
    ssl_context: ssl.SSLContext | None = field(repr=False)
    credentials: Credentials = field(repr=False)
    default_namespace: str = "default"
    proxy_url: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None

    async def kopf(self) -> kopf.ConnectionInfo:
        """Return the same connection for kopf's login handler; each further call renews refused credentials.

        Raises:
            ConfigError: the kubeconfig sets ``tls-server-name``, which kopf cannot do, or a proxy with a password.
        """
        import kopf

        if self.tls_server_name:
            raise ConfigError(
                f"the kubeconfig sets tls-server-name ({self.tls_server_name}) for {self.server}, which the operator's "
                "watches cannot use: use a server URL whose host is in the API server's certificate"
            )
        if self.proxy_url and "@" in self.proxy_url:
            raise ConfigError(
                f"the kubeconfig's proxy-url for {self.server} holds a password, which kopf would log: use a proxy "
                "that needs none"
            )
        header = await self.credentials.for_kopf()
        scheme, _, token = (header or "").partition(" ")
        configuration = self.credentials.configuration
        return kopf.ConnectionInfo(
            server=self.server,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            default_namespace=self.default_namespace,
            proxy_url=self.proxy_url,
        )


async def load(
    kubeconfig: str | None = None, context: str | None = None, *, service_account: Path = SERVICE_ACCOUNT
) -> Connection:
    """Load the connection: the Pod's own service account, or a kubeconfig.

    The service account is taken when ``KUBERNETES_SERVICE_HOST`` is set and neither `kubeconfig` nor `context` is
    given. Otherwise `kubeconfig`, else ``$KUBECONFIG`` (several files joined by ``:``), else ``~/.kube/config``.

    Raises:
        ConfigError: nothing usable is there; the text says which file or variable, never its content.
    """
    in_cluster = kubeconfig is None and context is None and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    if in_cluster:
        origin, read = f"service account in {service_account}", _in_cluster(service_account)
    else:
        files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        origin, read = f"kubeconfig {files}", _kubeconfig(files, context)

    async def reload() -> tuple[Configuration, str]:
        with _readable(f"{origin} is"):
            return await read()

    first, namespace = await reload()
    ssl_context = _ssl_context(first, origin)

    async def reload_everything() -> Configuration:
        configuration, _ = await reload()
        if ssl_context is not None and configuration.cert_file:
            ssl_context.load_cert_chain(configuration.cert_file, configuration.key_file)
        return configuration

    return Connection(
        server=first.host.rstrip("/"),
        ssl_context=ssl_context,
        credentials=Credentials(reload_everything, first),
        default_namespace=namespace,
        proxy_url=first.proxy,
        tls_server_name=first.tls_server_name,
    )


@contextlib.contextmanager
def _readable(origin: str) -> Iterator[None]:
    """Turn what goes wrong while credentials are read into a ConfigError."""
    from kubernetes.aio.config import ConfigException

    try:
        yield
    except (ConfigError, ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Reasons only: parser errors of YAML and JWTs quote what they read, which holds credentials, and the library
        # names an entry of a kubeconfig by all that it holds.
        told = isinstance(error, (ConfigError, ConfigException, OSError))
        reason = str(error).partition("/{")[0] if told else type(error).__name__
        raise ConfigError(f"{origin} not usable: {reason}") from None


def _in_cluster(folder: Path) -> Callable[[], Awaitable[tuple[Configuration, str]]]:
    async def read() -> tuple[Configuration, str]:
        from kubernetes.aio.client import Configuration
        from kubernetes.aio.config.incluster_config import InClusterConfigLoader

        configuration = Configuration()
        # Its refresh hook reads the token file again once a minute.
        InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt")).load_and_set(configuration)
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        return configuration, namespace or "default"

    return read


def _kubeconfig(files: str, context: str | None) -> Callable[[], Awaitable[tuple[Configuration, str]]]:
    async def read() -> tuple[Configuration, str]:
        import yaml
        from kubernetes.aio.client import Configuration
        from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

        try:
            merged = KubeConfigMerger(files).config
        except yaml.YAMLError:
            raise ConfigError("it is not YAML") from None
        if merged is None:
            raise ConfigError("no such file")
        loader = KubeConfigLoader(config_dict=merged, config_base_path=None, active_context=context)
        configuration = Configuration()
        await loader.load_and_set(configuration)
        active = loader.current_context["context"]
        user = merged["users"].get_with_name(active["user"], safe=True) if active.get("user") else None
        runs_plugin = user is not None and "exec" in user["user"]
        if runs_plugin and not (hasattr(loader, "token") or configuration.cert_file):
            raise ConfigError(f"the exec plugin of user {active['user']!r} gave no credentials: run it by hand")
        if not runs_plugin or hasattr(loader, "exec_plugin_expiry"):
            configuration.refresh_api_key_hook = _refresher(loader)  # type: ignore[assignment]
        return configuration, active.get("namespace") or "default"

    return read


def _refresher(loader: KubeConfigLoader) -> Callable[[Configuration], Awaitable[None]]:
    """Return a hook that asks token files, OIDC providers and expiring plugins again, at most once a minute.

    A plugin that tells no expiry is asked again only after a 401, as client-go does.
    """
    loaded_at = time.monotonic()

    async def refresh(configuration: Configuration) -> None:
        nonlocal loaded_at
        if time.monotonic() - loaded_at >= REFRESH_SECONDS:
            loaded_at = time.monotonic()
            await loader.load_and_set(configuration)

    return refresh


def _ssl_context(configuration: Configuration, origin: str) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https://"):
        return None
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{origin}: the CA or client certificate cannot be used: {error}") from None
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
