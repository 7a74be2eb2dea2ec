{{- define "gvDetails" }}{{ $gv := . }}
| kind of `{{ .GroupVersionString }}` | |
|---|---|
{{- range .SortedKinds }}{{ $kind := $gv.TypeForKind . }}
| [{{ $kind.Name }}](#{{ lower $kind.Name }}) | {{ splitList "\n\n" $kind.Doc | first | replace "\n" " " }} |
{{- end }}
{{ range .SortedTypes }}{{ template "type" . }}{{ end }}
{{- end }}
