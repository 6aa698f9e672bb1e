{{- define "gateway-telemetry-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gateway-telemetry-operator.fullname" -}}
{{- $name := include "gateway-telemetry-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains .Release.Name $name }}
{{- $name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* A ClusterRole belongs to one release of one namespace. */}}
{{- define "gateway-telemetry-operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "gateway-telemetry-operator.fullname" .) }}
{{- end }}

{{- define "gateway-telemetry-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gateway-telemetry-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "gateway-telemetry-operator.labels" -}}
{{- $own := include "gateway-telemetry-operator.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") }}
{{- merge $own .Values.commonLabels | toYaml }}
{{- end }}

{{- define "gateway-telemetry-operator.podLabels" -}}
{{- merge (include "gateway-telemetry-operator.selectorLabels" . | fromYaml) .Values.podLabels .Values.commonLabels | toYaml }}
{{- end }}

{{- define "gateway-telemetry-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "gateway-telemetry-operator.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "gateway-telemetry-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/*
What the operator does in a namespace that it watches. Secrets: keys and CA bundles are read from Secrets that tenants
name, and the copies and records that go beside a gateway are Secrets of its namespace. RBAC has no selector by label,
so the operator's own rule (the label gatewaytelemetry.dev/role) decides which of them it looks at.
*/}}
{{- define "gateway-telemetry-operator.rules" -}}
- apiGroups: [gatewaytelemetry.dev]
  resources: [langsmithtargets]
  verbs: [list, watch]
- apiGroups: [gatewaytelemetry.dev]
  resources: [gatewaytelemetries]
  verbs: [list, watch{{ if not .Values.readOnly }}, patch{{ end }}] # patch: its own finalizer
- apiGroups: [gatewaytelemetry.dev]
  resources: [langsmithtargets/status, gatewaytelemetries/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [{{ if not .Values.readOnly }}get, patch, {{ end }}list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [{{ if not .Values.readOnly }}get, create, patch, delete, {{ end }}list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch{{ if not .Values.readOnly }}, create, patch, delete{{ end }}] # writes: the CA beside the Secret of install.reference
{{- range $value, $kind := (dict
  "openTelemetryCollectors" (dict "group" "opentelemetry.io" "resource" "opentelemetrycollectors")
  "gatewayConfigs" (dict "group" "aigateway.envoyproxy.io" "resource" "gatewayconfigs")
  "agentgatewayParameters" (dict "group" "agentgateway.dev" "resource" "agentgatewayparameters")) }}
{{- if index $.Values.writes $value }}
- apiGroups: [{{ $kind.group }}]
  resources: [{{ $kind.resource }}] # install.resource
  verbs: [get{{ if not $.Values.readOnly }}, patch{{ end }}]
{{- end }}
{{- end }}
- apiGroups: [""]
  resources: [pods] # why a rollout fails, and which pods are older than a changed Secret
  verbs: [list]
- apiGroups: [""]
  resources: [services]
  verbs: [get]
{{- if and .Values.verification.enabled .Values.verification.jobs.enabled (not .Values.readOnly) }}
- apiGroups: [batch]
  resources: [jobs] # looks at LangSmith from gateways' namespaces
  verbs: [get, create]
{{- end }}
{{- end }}
