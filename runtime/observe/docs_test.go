package observe_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testgateway"
)

// documentedMetric is a row of a table of docs/metrics.md.
type documentedMetric struct {
	kind, labels string
}

func documentedMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	all := map[string]documentedMetric{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 8 || !strings.HasPrefix(cells[1], " `prism_") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		require.NotContains(t, all, name, "documented twice")
		all[name] = documentedMetric{strings.TrimSpace(cells[2]), strings.ReplaceAll(strings.TrimSpace(cells[3]), "`", "")}
		require.NotEmpty(t, strings.TrimSpace(cells[4]), "%s has no unit", name)
		require.NotEmpty(t, strings.TrimSpace(cells[5]), "%s has no meaning", name)
	}
	return all
}

// The code names its metrics in literals: whole, or, in the front, after a prefix.
func TestEveryMetricOfTheCodeIsDocumentedAndTheOtherWayRound(t *testing.T) {
	t.Parallel()
	documented := documentedMetrics(t)
	require.Greater(t, len(documented), 15)
	whole := regexp.MustCompile(`^prism_[a-z0-9_]*[a-z0-9]$`)
	inCode := map[string]bool{}
	for _, folder := range []string{"../../runtime", "../../cmd", "../../backends", "../../patterns"} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			prefixed := false
			ast.Inspect(file, func(node ast.Node) bool {
				if literal := stringOf(node); literal == "prism_front_" {
					prefixed = true
				} else if whole.MatchString(literal) {
					inCode[literal] = true
				}
				return true
			})
			ast.Inspect(file, func(node ast.Node) bool {
				if call, ok := node.(*ast.CallExpr); ok && prefixed && len(call.Args) > 0 {
					if called, ok := call.Fun.(*ast.Ident); ok && called.Name == "describe" {
						inCode["prism_front_"+stringOf(call.Args[0])] = true
					}
				}
				return true
			})
			return nil
		}))
	}
	for name := range inCode {
		require.Contains(t, documented, name, "a metric of the code is not in docs/metrics.md")
	}
	for name := range documented {
		require.Contains(t, inCode, name, "docs/metrics.md has a metric that the code has not")
	}
}

func stringOf(node ast.Node) string {
	literal, ok := node.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}

// What a gateway that serves shows has the types and labels that the documentation says.
func TestMetricsOfAGatewayAreAsDocumented(t *testing.T) {
	t.Parallel()
	s := testgateway.StartWith(t, testgateway.Options{Config: oneNamespace()})
	address := testgateway.Address(s)
	post(t, address, "/prism.keyvalue.v1.KeyValueBasicInterface/Get", `{"key": "a"}`, "prism-namespace", "default")
	post(t, address, "/prism.keyvalue.v1.KeyValueBasicInterface/Get", `{"key": "a"}`, "prism-namespace", "nowhere")
	post(t, address, "/nothing", `{}`)
	response, err := http.Get("http://" + s.Front().AdminAddress() + "/metrics")
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())

	documented := documentedMetrics(t)
	types := map[string]string{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (prism_\w+) (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, documented, found[1])
		require.Equal(t, documented[found[1]].kind, found[2], found[1])
		types[found[1]] = found[2]
	}
	for _, name := range []string{
		"prism_calls_total", "prism_call_duration_seconds", "prism_calls_in_flight", "prism_refused_total", "prism_requests_refused_total", "prism_namespaces",
		"prism_front_connections", "prism_front_refused_total", "prism_config_reloads_total", "prism_traces_dropped_total", "prism_build_info",
	} {
		require.Contains(t, types, name)
	}
	histogram := regexp.MustCompile(`_(bucket|sum|count)$`)
	label := regexp.MustCompile(`(\w+)="`)
	for _, found := range regexp.MustCompile(`(?m)^(prism_\w+)(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(string(text), -1) {
		name := found[1]
		if types[name] == "" {
			name = histogram.ReplaceAllString(name, "")
		}
		var labels []string
		for _, one := range label.FindAllStringSubmatch(found[2], -1) {
			if one[1] != "le" {
				labels = append(labels, one[1])
			}
		}
		want := strings.Split(documented[name].labels, ", ")
		slices.Sort(labels)
		slices.Sort(want)
		require.Equal(t, strings.Join(want, ", "), strings.Join(labels, ", "), name)
	}
}

func oneNamespace() *configv1.Config {
	return &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "default", Backend: "memstore"}}}
}

// post makes a call with JSON and returns the answer.
func post(t *testing.T, address, procedure, body string, header ...string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+procedure, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return string(answer)
}
