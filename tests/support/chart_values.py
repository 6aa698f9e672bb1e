"""Values of the chart, all with an effect, for tests that render, apply and install it."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "0123456789abcdef" * 4
FULL: dict[str, Any] = {
    "image": {"repository": "registry.example.com/team/operator", "digest": DIGEST, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 2,
    "allowedHosts": ["langsmith.example.com", "*.corp.example.com", "10.1.2.3", "2001:db8::10"],
    "insecureAllowLoopback": True,
    "clusterDomain": "k8s.example.com",
    "clusterName": "prod: eu #1",
    "workers": 16,
    "rollouts": {"maxInCluster": 20, "maxInNamespace": 0},
    "uninstall": {"timeoutSeconds": 60},
    "logFormat": "text",
    "logLevel": "debug",
    "admissionPolicy": {"enabled": True},
    "serviceAccount": {"name": "telemetry", "annotations": {"example.com/role": "reader"}},
    "extraCA": {"configMapName": "corp-ca", "key": "bundle.pem"},
    "metrics": {
        "service": {"enabled": True, "labels": {"scrape": "yes"}, "annotations": {"prometheus.io/scrape": "true"}}
    },
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443, "protocol": "TCP"}]}, {}],
    },
    "resources": {"requests": {"cpu": 1, "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    "commonLabels": {"team": "platform", "app.kubernetes.io/name": "not-mine"},
    "podLabels": {"sidecar": "no"},
    "podAnnotations": {"example.com/note": "1"},
    "extraEnv": [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "system-cluster-critical",
}
"""Every value that has an effect, with a value other than its default; the API server takes them, too."""
