package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/manifests"
)

// query is what an alert or a panel asks Prometheus, and the texts that put the answer's labels into words.
type query struct {
	of, expr string
	texts    []string
}

// named finds labels in the texts of alerts and in the legends of panels.
var named = regexp.MustCompile(`\{\{ *(?:\$labels\.)?(\w+) *\}\}`)

// queries are those of the alerts, as Prometheus itself reads them, and those of the dashboard.
func queries(t *testing.T) (all []query) {
	t.Helper()
	g := NewWithT(t)
	objects, err := manifests.Read("../../config/prometheus")
	g.Expect(err).NotTo(HaveOccurred())
	for _, object := range objects {
		if object.GetKind() != "PrometheusRule" {
			continue
		}
		text, err := yaml.Marshal(object.Object["spec"])
		g.Expect(err).NotTo(HaveOccurred())
		rules, wrong := rulefmt.Parse(text, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		g.Expect(errors.Join(wrong...)).NotTo(HaveOccurred())
		for _, group := range rules.Groups {
			for i := range group.Rules {
				all = append(all, query{group.Rules[i].Alert, group.Rules[i].Expr, slices.Collect(maps.Values(group.Rules[i].Annotations))})
			}
		}
	}
	g.Expect(all).NotTo(BeEmpty())
	text, err := os.ReadFile("../../config/prometheus/dashboard.json")
	g.Expect(err).NotTo(HaveOccurred())
	dashboard := struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}{}
	g.Expect(json.Unmarshal(text, &dashboard)).To(Succeed())
	g.Expect(dashboard.Panels).NotTo(BeEmpty())
	for _, panel := range dashboard.Panels {
		g.Expect(panel.Targets).NotTo(BeEmpty(), panel.Title)
		for _, target := range panel.Targets {
			all = append(all, query{panel.Title, target.Expr, []string{target.LegendFormat}})
		}
	}
	return all
}

// samples are what is shown of each metric: its labels, the name among them.
type samples map[string][]map[string]string

// read adds what a replica shows.
func (s samples) read(r *replica) error {
	response, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + r.metrics + "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	page := expfmt.NewTextParser(model.LegacyValidation)
	metrics, err := page.TextToMetricFamilies(response.Body)
	for name, metric := range metrics {
		for _, shown := range metric.GetMetric() {
			sample := map[string]string{model.MetricNameLabel: name}
			for _, label := range shown.GetLabel() {
				sample[label.GetName()] = label.GetValue()
			}
			s[name] = append(s[name], sample)
		}
	}
	return err
}

// lacks is what a query asks for, or its texts name, and no sample has.
func (s samples) lacks(q query) (missing []string) {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", q.of, err)}
	}
	var metrics, by []string
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.AggregateExpr:
			by = append(by, node.Grouping...)
		case *parser.VectorSelector:
			metrics = append(metrics, node.Name)
			for _, matcher := range node.LabelMatchers {
				values := []string{matcher.Value}
				if matcher.Type == labels.MatchRegexp {
					values = matcher.SetMatches()
				}
				for _, value := range values {
					if !slices.ContainsFunc(s[node.Name], func(sample map[string]string) bool { return sample[matcher.Name] == value }) {
						missing = append(missing, fmt.Sprintf("%s: %s with %s=%q", q.of, node.Name, matcher.Name, value))
					}
				}
			}
		}
		return nil
	})
	for _, label := range by {
		for _, metric := range metrics {
			if !slices.ContainsFunc(s[metric], func(sample map[string]string) bool { return sample[label] != "" }) {
				missing = append(missing, fmt.Sprintf("%s: %s with %s", q.of, metric, label))
			}
		}
	}
	for _, text := range q.texts {
		for _, label := range named.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(by, label[1]) {
				missing = append(missing, fmt.Sprintf("%s: %s in the answer", q.of, label[1]))
			}
		}
	}
	return missing
}

// shows looks for everything that alerts and dashboard ask for at replicas that have written and refused something.
func (c *cluster) shows(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	thief := builder.Pod("billing-entrustee", "thief").Purpose("recommendation").Entrustment("fees").Obj()
	g.Expect(apierrors.IsForbidden(c.admin.Create(t.Context(), thief))).To(BeTrue()) // no trial: these are not counted
	all := queries(t)
	g.Eventually(func(g Gomega) {
		shown := samples{"controller_runtime_reconcile_errors_total": {{"controller": "clusternetworkpolicy"}}} // which begins where that API is served
		for _, r := range c.replicas {
			g.Expect(shown.read(r)).To(Succeed())
		}
		var missing []string
		for _, q := range all {
			missing = append(missing, shown.lacks(q)...)
		}
		g.Expect(missing).To(BeEmpty())
	}).Should(Succeed())
}

func TestQueriesThatNobodyAnswers(t *testing.T) {
	shown := samples{"writes": {{model.MetricNameLabel: "writes", "owner": "rules"}, {model.MetricNameLabel: "writes", "owner": "egress"}}}
	for title, test := range map[string]struct {
		query query
		want  []string
	}{
		"what there is":               {query{"q", `sum by (owner) (rate(writes{owner=~"rules|egress"}[5m])) > 0`, []string{"{{owner}} and {{ $labels.owner }}"}}, nil},
		"another metric":              {query{"q", `absent(reads)`, nil}, []string{`q: reads with __name__="reads"`}},
		"another label":               {query{"q", `sum by (kind) (writes)`, nil}, []string{"q: writes with kind"}},
		"another value":               {query{"q", `writes{owner="scope"}`, nil}, []string{`q: writes with owner="scope"`}},
		"another value among several": {query{"q", `writes{owner=~"rules|scope"}`, nil}, []string{`q: writes with owner="scope"`}},
		"a text about another label":  {query{"q", `sum by (owner) (writes)`, []string{"{{ $labels.kind }}"}}, []string{"q: kind in the answer"}},
		"what is no query":            {query{"q", `sum by (owner`, nil}, []string{"q: 1:14: parse error: unclosed left parenthesis"}},
	} {
		t.Run(title, func(t *testing.T) {
			if diff := cmp.Diff(test.want, shown.lacks(test.query)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
