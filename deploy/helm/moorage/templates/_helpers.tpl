{{/* The name of everything: the release's, which says moorage. */}}
{{- define "moorage.name" -}}
{{- if contains "moorage" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-moorage" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects pods of a part: (list . "web"). These never change, as a Deployment's selector may not. */}}
{{- define "moorage.selector" -}}
app.kubernetes.io/name: moorage
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of an object of a part. */}}
{{- define "moorage.labels" -}}
{{ include "moorage.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{- define "moorage.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Of every pod. */}}
{{- define "moorage.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Of every container. */}}
{{- define "moorage.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The settings of every container. */}}
{{- define "moorage.environment" -}}
envFrom:
  - secretRef: {name: {{ .Values.existingSecret }}}
env:
  - {name: MOORAGE_CONFIG, value: /etc/moorage/moorage.toml}
{{- with .Values.env }}
{{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every container can write to, and its settings' file: the data are elsewhere. */}}
{{- define "moorage.mounts" -}}
- {name: config, mountPath: /etc/moorage, readOnly: true}
- {name: data, mountPath: /var/lib/moorage}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* The volumes of these; (list . "name of the ConfigMap"). */}}
{{- define "moorage.volumes" -}}
- name: config
  configMap: {name: {{ index . 1 }}}
- name: data
  emptyDir: {sizeLimit: 64Mi}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}
