package deploy

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// query is PromQL that deploy/ has, and where.
type query struct{ where, expr string }

// dashboard is what this test looks at in Grafana's JSON.
type dashboard struct {
	UID        string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		RefID, Expr string
		Datasource  struct{ UID string }
	}
}

// rules is a file of alert rules.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	require.NoError(t, json.Unmarshal([]byte(read(t, "grafana/prism.json")), &d))
	return d
}

func readRules(t *testing.T) rules {
	t.Helper()
	var r rules
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "prometheus/alerts.yaml")), &r))
	return r
}

// queries returns all PromQL of the dashboard and of the alerts.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			// Grafana's variables stand in strings, but for this one.
			all = append(all, query{"panel " + p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")})
		}
	}
	labelValues := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, variable := range d.Templating.List {
		if variable.Type == "query" {
			parts := labelValues.FindStringSubmatch(variable.Query.(map[string]any)["query"].(string))
			require.NotNil(t, parts, "variable %s", variable.Name)
			all = append(all, query{"variable " + variable.Name, parts[1]})
		}
	}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			all = append(all, query{"alert " + rule.Alert, rule.Expr})
		}
	}
	require.Greater(t, len(all), 30)
	return all
}

// metrics returns the names of the metrics that a query uses.
func metrics(t *testing.T, q query) []string {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	require.NoError(t, err, "%s: %s", q.where, q.expr)
	var names []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	require.NotEmpty(t, names, q.where)
	return names
}

// TestQueries parses every query, and demands that each metric of Prism in it is one that the documentation has.
func TestQueries(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err, "docs/metrics.md says which metrics there are")
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bprism_[a-z0-9_]+`).FindAllString(string(page), -1) {
		documented[name] = true
	}
	ofHistogram := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, q := range queries(t) {
		for _, name := range metrics(t, q) {
			if strings.HasPrefix(name, "prism_") && !documented[name] && !documented[ofHistogram.ReplaceAllString(name, "")] {
				t.Errorf("%s asks for %s, which docs/metrics.md does not have", q.where, name)
			}
		}
	}
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	require.Equal(t, "prism", d.UID)
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "%s: a second panel with id %d", p.Title, p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies over it", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
			for _, name := range metrics(t, query{p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")}) {
				require.Contains(t, target.Expr, name+`{job="prism",instance=~"$instance"`, "%s does not ask for the gateways that are chosen", p.Title)
			}
		}
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	readme := read(t, "README.md")
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["runbook"], rule.Alert)
			require.Contains(t, readme, "`"+rule.Alert+"`", "deploy/README.md has no line about the alert")
		}
	}
}
