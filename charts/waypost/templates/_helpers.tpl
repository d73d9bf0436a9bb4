{{- define "waypost.name" -}}
{{- if contains "waypost" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-waypost" (.Release.Name | trunc 42 | trimSuffix "-") }}{{ end -}}
{{- end }}

{{- define "waypost.selector" -}}
app.kubernetes.io/name: waypost
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "waypost.labels" -}}
{{ include "waypost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "waypost.bbr.selector" -}}
app.kubernetes.io/name: waypost-bbr
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: bbr
{{- end }}

{{- define "waypost.bbr.labels" -}}
{{ include "waypost.bbr.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "waypost.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "waypost.pickerImage" -}}
{{ .Values.pickerImage.repository }}:{{ .Values.pickerImage.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* The port of the probes and the metrics of the operator. */}}
{{- define "waypost.port" -}}
{{ regexFind "[0-9]+$" (.Values.listen | default "[::]:8080") }}
{{- end }}
