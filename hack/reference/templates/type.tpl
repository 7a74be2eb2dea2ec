{{- define "constraints" }}
{{- range . }}
{{- if not (or (hasPrefix "Required:" .) (hasPrefix "Optional:" .) (hasPrefix "Type:" .)) }}{{ . | replace "|" "\\|" }}<br>{{ end }}
{{- end }}
{{- end }}

{{- define "required" }}
{{- range . }}{{ if hasPrefix "Required:" . }}, required{{ end }}{{ end }}
{{- end }}

{{- define "type" }}
{{- if or .Members .EnumValues .Validation }}
## {{ .Name }}

{{ .Doc }}
{{- if .References }}

Used by
{{- range $i, $type := .SortedReferences }}{{ if $i }},{{ end }} {{ markdownRenderTypeLink $type }}{{ end }}.
{{- end }}
{{- if and .Validation (not .Members) (not .EnumValues) }}

Constraints: {{ template "constraints" .Validation }}
{{- end }}
{{- if .Members }}

| field | | default | constraints |
|---|---|---|---|
{{- range .Members }}
| `{{ .Name }}`<br>{{ regexReplaceAll "\\[map\\[string\\](\\w+)\\].*" (markdownRenderType .Type) "map of ${1}" }}{{ template "required" .Validation }} | {{ if eq .Name "metadata" }}Name, labels and annotations, as of every object.{{ else }}{{ .Doc | replace "|" "\\|" | replace "\n" " " }}{{ end }} | {{ .Default }} | {{ template "constraints" .Validation }} |
{{- end }}
{{- end }}
{{- $rules := index .Markers "kubebuilder:validation:XValidation" }}
{{- if $rules }}

The API server holds it to these:
{{ range $rules }}
- {{ .Message }}
{{- end }}
{{- end }}
{{- if eq .Name "Reason" }}

[Troubleshooting](troubleshooting.md) lists all of them, and what to do.
{{- else if .EnumValues }}

| value | |
|---|---|
{{- range .EnumValues }}
| `{{ .Name }}` | {{ .Doc | replace "|" "\\|" | replace "\n" " " }} |
{{- end }}
{{- end }}
{{ end }}
{{- end }}
