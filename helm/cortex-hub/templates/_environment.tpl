{{/* What a service is told. Secrets come as files: a variable `X_FILE` names one. */}}

{{/* A setting's name and value as a variable's: paymentTimeout, 2.5 -> PAYMENT_TIMEOUT, "2.5". */}}
{{- define "cortex.variable" -}}
{{ regexReplaceAll "([A-Z])" . "_${1}" | upper }}
{{- end }}
{{- define "cortex.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if kindIs "float64" . }}{{ if eq . (float64 (int64 .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{/* The ConfigMap's data, a YAML map. (dict "root" $ "service" "order") */}}
{{- define "cortex.environment" -}}
{{- $root := .root }}
{{- $values := include "cortex.service" . | fromYaml }}
{{- $topology := include "cortex.topology" $root | fromYaml }}
{{- $prefix := upper .service }}
{{- $folder := "/etc/cortex/secrets" }}
{{- $environment := dict "CORTEX_ENV" "production" "CORTEX_REDIS_URL_FILE" (printf "%s/redis-url" $folder) }}
{{- range $key, $value := $root.Values.settings }}
{{- $_ := set $environment (printf "CORTEX_%s" (include "cortex.variable" $key)) (include "cortex.text" $value) }}
{{- end }}
{{- range $key, $value := $values.settings }}
{{- $_ := set $environment (printf "%s_%s" $prefix (include "cortex.variable" $key)) (include "cortex.text" $value) }}
{{- end }}
{{- with $root.Values.tracing.otlpEndpoint }}
{{- $_ := set $environment "OTEL_EXPORTER_OTLP_ENDPOINT" . }}
{{- end }}
{{- $environment = merge $environment (include "cortex.trustEnvironment" $root | fromYaml) }}
{{- $self := index $topology.services .service }}
{{- if has "database" $self.needs }}
{{- $_ := set $environment (printf "%s_DATABASE_URL_FILE" $prefix) (printf "%s/database-url" $folder) }}
{{- end }}
{{- if eq .service "gateway" }}
{{- range $name, $other := $topology.services }}
{{- if ne $name "gateway" }}
{{- $host := include "cortex.host" (dict "root" $root "service" $name) }}
{{- $_ := set $environment (printf "GATEWAY_%s_URL" (upper $name)) (printf "http://%s:%d" $host (int $other.port)) }}
{{- end }}
{{- end }}
{{- $_ := set $environment "GATEWAY_METRICS_PORT" (int $self.metrics_port | toString) }}
{{- /* among how many a limit is divided while Redis is away: rather too little for each than too much for all */}}
{{- $most := ternary $values.autoscaling.maxReplicas $values.replicas $values.autoscaling.enabled }}
{{- $_ := set $environment "GATEWAY_REPLICAS" (max 1 (int $most) | toString) }}
{{- $_ := set $environment "CORTEX_INTERNAL_SIGNING_KEY" (printf "%s/internal.key" $folder) }}
{{- $_ := set $environment "CORTEX_KEY_PEPPER_FILE" (printf "%s/pepper" $folder) }}
{{- if $root.Values.auth.token.enabled }}
{{- $_ := set $environment "GATEWAY_STATIC_TOKENS" (printf "%s/tokens.json" $folder) }}
{{- end }}
{{- with $root.Values.auth.issuer }}
{{- if .name }}
{{- $_ := set $environment "CORTEX_TOKEN_ISSUER" .name }}
{{- $_ := set $environment "CORTEX_TOKEN_AUDIENCE" .audience }}
{{- $_ := set $environment "CORTEX_JWKS" .jwksUrl }}
{{- end }}
{{- end }}
{{- else }}
{{- $_ := set $environment "CORTEX_INTERNAL_KEYS" (printf "%s/internal.crt" $folder) }}
{{- end }}
{{- if has "payments" $self.needs }}
{{- $sandbox := printf "http://%s:3010" (include "cortex.host" (dict "root" $root "service" "payments")) }}
{{- $_ := set $environment (printf "%s_PAYMENT_URL" $prefix) (ternary $sandbox $root.Values.payments.url $root.Values.payments.sandbox.enabled) }}
{{- end }}
{{- if has "blocks" $self.needs }}
{{- $_ := set $environment "STORAGE_BLOCKS_DIR" "/var/lib/cortex/blocks" }}
{{- end }}
{{- $environment | toYaml }}
{{- end }}

{{/*
What the chart's token may, as the gateway's list of static tokens: an annotation of its pods, and empty where the token is
yours. In a ConfigMap it would change under the pods of before, and one of them made anew, after an eviction, would have
what a bad upgrade says. The token's text is the Secret's and outlives every revision.
*/}}
{{- define "cortex.staticTokens" -}}
{{- if and .Values.auth.token.enabled (not .Values.secrets.existingToken) }}
{{- with .Values.auth.token }}
{{- list (dict "tokenFile" "token" "sub" "helm" "scopes" .scopes "tenant" .tenant "plan" .plan) | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* The sources of the folder of secrets: each service gets what it needs and no more. */}}
{{- define "cortex.secretSources" -}}
{{- $topology := include "cortex.topology" .root | fromYaml }}
{{- $self := index $topology.services .service }}
- secret: {name: {{ include "cortex.secret.redis" .root }}, items: [{key: url, path: redis-url}]}
{{- if has "database" $self.needs }}
- secret: {name: {{ include "cortex.secret.database" . }}, items: [{key: url, path: database-url}]}
{{- end }}
{{- if eq .service "gateway" }}
- secret: {name: {{ include "cortex.secret.internal" .root }}, items: [{key: tls.key, path: internal.key}]}
- secret: {name: {{ include "cortex.secret.pepper" .root }}, items: [{key: pepper, path: pepper}]}
{{- if include "cortex.staticTokens" .root }}
- secret: {name: {{ include "cortex.secret.token" .root }}, items: [{key: token, path: token}]}
- downwardAPI: {items: [{path: tokens.json, fieldRef: {fieldPath: "metadata.annotations['cortex-hub/static-tokens']"}}]}
{{- else if .root.Values.auth.token.enabled }}
- secret: {name: {{ include "cortex.secret.token" .root }}, items: [{key: tokens.json, path: tokens.json}]}
{{- end }}
{{- else }}
- secret: {name: {{ include "cortex.secret.internal" .root }}, items: [{key: tls.crt, path: internal.crt}]}
{{- end }}
{{- with include "cortex.trustSource" .root }}
{{ . }}
{{- end }}
{{- end }}

{{/* What `db upgrade` is told: where its database is, and nothing that is not there yet before an install. */}}
{{- define "cortex.migrationEnvironment" -}}
- {name: CORTEX_ENV, value: production}
- {name: {{ upper .service }}_DATABASE_URL_FILE, value: /etc/cortex/secrets/database-url}
{{- range $name, $value := include "cortex.trustEnvironment" .root | fromYaml }}
- {name: {{ $name }}, value: {{ $value }}}
{{- end }}
{{- end }}
