{{/* Names and labels. Every object of the release begins with `cortex.name`. */}}

{{- define "cortex.name" -}}
{{ .Release.Name | trunc 36 | trimSuffix "-" }}
{{- end }}

{{/* Labels that choose pods; a component is one of the six services or one of their helpers. (dict "root" $ "component" "order") */}}
{{- define "cortex.selector" -}}
app.kubernetes.io/name: cortex-hub
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "cortex.labels" -}}
{{ include "cortex.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: cortex-hub
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of pods: nothing that changes with the chart alone, or every new chart would make all pods anew. */}}
{{- define "cortex.podLabels" -}}
{{ include "cortex.selector" . }}
app.kubernetes.io/part-of: cortex-hub
{{- with .root.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels in YAML and more of them, which win: a key stands there once. (list "a: b" (dict …)) */}}
{{- define "cortex.with" -}}
{{- if last . }}{{ mustMergeOverwrite (first . | fromYaml) (last . | deepCopy) | toYaml }}{{ else }}{{ first . }}{{ end }}
{{- end }}

{{/* Of an object of the release that belongs to no one component. */}}
{{- define "cortex.labelsOfAll" -}}
{{ include "cortex.labels" (dict "root" . "component" "hub") }}
{{- end }}

{{- define "cortex.image" -}}
{{ .root.Values.image.repository }}/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- with index .root.Values.image.digests .service }}@{{ . }}{{ end }}
{{- end }}

{{/* Of hooks that go when all hooks have done what they are for. (dict "weight" "-5") */}}
{{- define "cortex.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* Kubernetes' `500m`, `256Mi` as a number. */}}
{{- define "cortex.quantity" -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 }}
{{- $text := toString . }}
{{- if kindIs "float64" . }}{{ $text = printf "%f" . }}{{ end }}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (index $units (regexFind "[A-Za-z]*$" $text)) }}
{{- end }}

{{/* The port that a URL leads to, said in it or its scheme's. */}}
{{- define "cortex.portOf" -}}
{{- $url := urlParse . }}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* DNS, as a NetworkPolicy's ports. */}}
{{- define "cortex.dnsPorts" -}}
{{- range .Values.networkPolicy.dnsPorts }}
- {port: {{ . }}, protocol: UDP}
- {port: {{ . }}, protocol: TCP}
{{- end }}
{{- end }}

{{/* The name of a Service of ours for its callers. */}}
{{- define "cortex.host" -}}
{{ include "cortex.name" .root }}-{{ .service }}
{{- with .root.Values.clusterDomain }}.{{ $.root.Release.Namespace }}.svc.{{ . }}{{ end }}
{{- end }}

{{/* What runs, as topology.toml says: a copy of it, made by `make render`. */}}
{{- define "cortex.topology" -}}
{{ .Files.Get "files/topology.yaml" }}
{{- end }}

{{/* `serviceDefaults`, what the service says otherwise, and where it runs, of `global`, if neither says. (dict "root" $ "service" "order") */}}
{{- define "cortex.service" -}}
{{- $values := mustMergeOverwrite (deepCopy .root.Values.serviceDefaults) (deepCopy (index .root.Values.services .service | default dict)) }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- $_ := set $values $key (index $values $key | default (index $.root.Values.global $key)) }}
{{- end }}
{{- $values | toYaml }}
{{- end }}

{{/*
"true" where all pods of a service have to be on one node, which their volume is one of. (dict "self" topology's "values" the service's)
*/}}
{{- define "cortex.onOneNode" -}}
{{- if and (has "blocks" .self.needs) (eq .values.persistence.accessMode "ReadWriteOnce") (not (default dict .values.affinity).podAffinity) }}true{{ end }}
{{- end }}

{{/* Names of the Secrets: one of yours, or the chart's. */}}
{{- define "cortex.secret.internal" -}}
{{ .Values.secrets.existingInternalKey | default (printf "%s-internal-key" (include "cortex.name" .)) }}
{{- end }}
{{- define "cortex.secret.pepper" -}}
{{ .Values.secrets.existingPepper | default (printf "%s-pepper" (include "cortex.name" .)) }}
{{- end }}
{{- define "cortex.secret.token" -}}
{{ .Values.secrets.existingToken | default (printf "%s-token" (include "cortex.name" .)) }}
{{- end }}
{{- define "cortex.secret.redis" -}}
{{- if .Values.redis.enabled }}
{{- .Values.redis.existingSecret | default (printf "%s-redis" (include "cortex.name" .)) }}
{{- else }}
{{- .Values.externalRedis.existingSecret }}
{{- end }}
{{- end }}
{{- define "cortex.secret.postgresql" -}}
{{ .Values.postgresql.existingSecret | default (printf "%s-postgresql" (include "cortex.name" .)) }}
{{- end }}
{{/* (dict "root" $ "service" "order") */}}
{{- define "cortex.secret.database" -}}
{{- if .root.Values.postgresql.enabled }}
{{- index .root.Values.postgresql.existingRoleSecrets .service | default (printf "%s-postgresql-%s" (include "cortex.name" .root) .service) }}
{{- else }}
{{- (index .root.Values.externalDatabases .service).existingSecret }}
{{- end }}
{{- end }}
