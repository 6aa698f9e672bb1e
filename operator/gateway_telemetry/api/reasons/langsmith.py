"""The way to LangSmith, what answers there, and what it says of a key."""

from __future__ import annotations

from gateway_telemetry.api.reasons.names import Reason
from gateway_telemetry.api.reasons.rows import REQUESTS, ReasonEntry, bad, ok, passing, unsure, warns, wrong

ROWS: tuple[ReasonEntry, ...] = (
    ok(Reason.REACHABLE, ("Reachable",), "LangSmith answered, over a trusted connection."),
    warns(
        Reason.CERTIFICATE_EXPIRES_SOON,
        "Reachable",
        "LangSmith answered; its certificate ends within two weeks.",
        "Renew it, or look whether its renewal works.",
    ),
    warns(
        Reason.LICENSE_EXPIRED,
        "Reachable",
        "LangSmith answered; the licence that it reports has ended.",
        "Renew the licence of this LangSmith. Its chart derives the salt of API keys from the licence where apiKeySalt "
        "is not set: keys may then have to be made anew.",
    ),
    warns(
        Reason.CLOCK_SKEW,
        "Reachable",
        "LangSmith answered; its clock and the operator's differ by more than five minutes.",
        "Set the clock (NTP) of the one that is wrong: traces would stand at a wrong time.",
    ),
    unsure(
        Reason.NOT_PROBED,
        ("Reachable", "Authenticated", "Ingesting", "Delivered"),
        "Not asked yet, or LangSmith must be reachable first.",
    ),
    wrong(
        Reason.DNS_NOT_FOUND,
        "DNS says that the host does not exist.",
        "Check the host's name. If only a proxy can resolve it, give the operator HTTPS_PROXY.",
    ),
    unsure(
        Reason.DNS_UNAVAILABLE,
        REQUESTS,
        "The operator's DNS did not answer, so nothing is known about LangSmith.",
        "Look whether the operator's pod may reach the cluster's DNS (NetworkPolicy) and whether that works.",
    ),
    wrong(
        Reason.ADDRESS_NOT_ALLOWED,
        "The host resolves to an address that no key may be sent to: loopback, link-local, metadata or multicast.",
        "Correct the DNS entry.",
    ),
    wrong(
        Reason.CONNECTION_REFUSED,
        "Nothing listens on that port.",
        "Check the port, and that LangSmith's frontend runs.",
    ),
    unsure(
        Reason.NO_ROUTE,
        REQUESTS,
        "No connection came about: either the host is down, or the operator's own way out is closed.",
        "Look whether a NetworkPolicy or firewall lets the operator's pod reach the host and port.",
    ),
    unsure(
        Reason.PROXY_UNREACHABLE,
        REQUESTS,
        "The operator's proxy cannot be reached, so nothing is known about LangSmith.",
        "Check HTTPS_PROXY of the operator; hosts that need no proxy go into NO_PROXY.",
    ),
    unsure(
        Reason.PROXY_REFUSED,
        REQUESTS,
        "The operator's proxy does not let the connection through, so nothing is known about LangSmith.",
        "Allow the host at the proxy, give HTTPS_PROXY its user and password, or add the host to NO_PROXY.",
    ),
    passing(
        Reason.CONNECTION_CUT,
        "The connection was cut before the answer was complete.",
        "If it stays, look at load balancers and firewalls on the way, and at LangSmith's pods.",
    ),
    passing(
        Reason.ANSWER_TIMEOUT,
        "The host took the connection and did not finish its answer in time.",
        "If it stays, look at LangSmith's pods and at what stands in front of them.",
    ),
    wrong(
        Reason.TLS_EXPIRED,
        "The certificate of the host, or one above it, has expired.",
        "Renew it on LangSmith's side; no Secret and no gateway needs a change.",
    ),
    wrong(
        Reason.TLS_NOT_YET_VALID,
        "The certificate of the host is not valid yet.",
        "Check the clock of the operator's node, then the certificate.",
    ),
    wrong(
        Reason.TLS_WRONG_HOST,
        "The certificate is for other host names.",
        "Use a host name that the certificate holds, or issue one that holds this name.",
    ),
    wrong(
        Reason.TLS_UNTRUSTED,
        "The certificate's issuer is not trusted.",
        "Put the CA that issued it into spec.caBundleRef, or let the server send its intermediate certificates.",
    ),
    wrong(
        Reason.TLS_INTERCEPTED,
        "A host of LangSmith's service shows a certificate of an unknown issuer: something on the way opens TLS.",
        "Exempt the host from TLS inspection, or put the CA of the inspecting proxy into spec.caBundleRef.",
    ),
    wrong(
        Reason.TLS_NOT_SPOKEN,
        "The port does not speak TLS.",
        "Use the port that speaks https. Ports 80 and 443 of LangSmith's frontend Service both speak http unless "
        "frontend.ssl.enabled is set.",
    ),
    wrong(
        Reason.TLS_FAILED,
        "The TLS handshake failed.",
        "Compare the TLS versions and ciphers of the host; the server must not ask for a client certificate.",
    ),
    wrong(
        Reason.TLS_EXPECTED,
        "http:// was used on a port that speaks https.",
        "Write https://, or scheme: https.",
    ),
    wrong(
        Reason.ANSWERED_BY_UI,
        "A web page came instead of the API's answer: this is the web app's host, or the path prefix is missing.",
        "Use the API's host, and set selfHosted.basePath to the chart value config.basePath.",
    ),
    wrong(
        Reason.METHOD_NOT_ALLOWED,
        "405: this is the web app's host, or the path prefix is missing.",
        "Use the API's host, and set selfHosted.basePath to the chart value config.basePath.",
    ),
    wrong(
        Reason.EMPTY_ANSWER,
        "A success without content: what answers is not LangSmith's API.",
        "Check host, port and basePath, and what stands in front of LangSmith.",
    ),
    wrong(
        Reason.NOT_LANGSMITH,
        "The answer is not one of LangSmith's API.",
        "Check host, port and basePath, and what stands in front of LangSmith.",
    ),
    wrong(
        Reason.REDIRECTED,
        "The host redirects, and redirects are not followed: they would carry the key elsewhere.",
        "Write the address that is meant. A redirect to port 8443 says that frontend.ssl.enabled is set: use https. "
        "A redirect to a login page says that the API path must be exempt from single sign-on.",
    ),
    wrong(
        Reason.API_NOT_FOUND,
        "404: the host answers, and the API is not at this path.",
        "Set selfHosted.basePath to the chart value config.basePath; an ingress must not strip it.",
    ),
    wrong(
        Reason.BLOCKED_IN_FRONT,
        "Something in front of LangSmith (proxy, firewall, login page) refused the request.",
        "Exempt the API's path there from logins and filters.",
    ),
    passing(
        Reason.SERVER_ERROR,
        "LangSmith, or what stands in front of it, answered with an error of its own (5xx).",
        "If it stays, look at LangSmith's pods and their log, or at status.smith.langchain.com.",
    ),
    unsure(
        Reason.RATE_LIMITED,
        (*REQUESTS, "Delivered"),
        "429: a rate or usage limit of LangSmith is reached; the operator waits as long as it is told to.",
        "If it stays, look at the limits of the organization and workspace.",
    ),
    unsure(
        Reason.INFO_NEEDS_KEY,
        ("Reachable",),
        "This LangSmith shows /info only to a good key, and refused this one.",
        "Look at Authenticated.",
    ),
    ok(Reason.AUTHENTICATED, ("Authenticated",), "The key is valid, in the intended workspace."),
    bad(
        Reason.KEY_REJECTED,
        "Authenticated",
        "401: LangSmith does not know the key.",
        "Check that it was copied whole, is not revoked, and belongs to this region or install.",
        also=("Ingesting", "Delivered"),
    ),
    bad(
        Reason.KEY_FORBIDDEN,
        "Authenticated",
        "403: the key belongs to another region or install, or has no right in this workspace.",
        "Create a key in the region and workspace that the target names, and store that.",
        also=("Ingesting", "Delivered"),
    ),
    bad(
        Reason.WORKSPACE_REQUIRED,
        "Authenticated",
        "The key is one of the whole organization, and no workspace is named.",
        "Set spec.workspaceId.",
        also=("Ingesting", "Delivered"),
    ),
    bad(
        Reason.WORKSPACE_MISMATCH,
        "Authenticated",
        "The key acts in another workspace than the intended one.",
        "Set spec.workspaceId to the workspace that is meant, or use a key of that workspace.",
        also=("Ingesting", "Delivered"),
    ),
    unsure(
        Reason.WORKSPACE_UNVERIFIED,
        ("Authenticated",),
        "The key may send traces and may not read, so its workspace cannot be seen.",
        "Give spec.credentials.read; the canary then shows where traces arrive.",
    ),
)
