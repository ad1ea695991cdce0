package model

import (
	"math"
	"testing"
	"time"
)

func TestCharsetOfTellsClassesFromOtherPatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]Charset{
		"^[A-Za-z0-9._-]+$": {Text: "A-Za-z0-9._-", Pairs: "-.09AZ__az", Size: Size{Min: 1}},
		"^[a-c]*$":          {Text: "a-c", Pairs: "ac"},
		"^[a-c]{2,5}$":      {Text: "a-c", Pairs: "ac", Size: Size{Min: 2, Max: 5, Bounded: true}},
		"^[a-c]{2,}$":       {Text: "a-c", Pairs: "ac", Size: Size{Min: 2}},
		"^[a-c]?$":          {Text: "a-c", Pairs: "ac", Size: Size{Max: 1, Bounded: true}},
		"^[a-c]$":           {Text: "a-c", Pairs: "ac", Size: Size{Min: 1, Max: 1, Bounded: true}},
	} {
		if got, ok := charsetOf(pattern); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", pattern, got, ok, want)
		}
	}
	for _, pattern := range []string{"[a-c]+", "^[a-c]+", "[a-c]+$", "^[^a]+$", "^[a-é]+$", "^[a][b]$", "^(?i)[a-c]+$", "^abc$", "^(", "(?m)^[a]+$", "^[a]+|b$"} {
		if got, ok := charsetOf(pattern); ok {
			t.Errorf("%s is a charset: %v", pattern, got)
		}
	}
}

func TestWordsSayWhatARuleDemands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Kind: RuleBytes, Value: Size{Min: 1, Max: 1024, Bounded: true}}, "be 1 to 1,024 bytes"},
		{Rule{Kind: RuleBytes, Value: Size{Min: 1}}, "be at least 1 byte"},
		{Rule{Kind: RuleChars, Value: Size{Min: 3, Max: 3, Bounded: true}}, "be 3 characters"},
		{Rule{Kind: RulePairs, Value: Size{Max: 64, Bounded: true}}, "have at most 64 entries"},
		{Rule{Kind: RulePairs, Value: Size{Max: 1, Bounded: true}}, "have at most 1 entry"},
		{Rule{Kind: RuleCharset, Value: Charset{Text: " -~", Size: Size{Min: 1, Max: 9, Bounded: true}}}, "be 1 to 9 characters of [ -~]"},
		{Rule{Kind: RuleBounds, Value: Bounds{Low: uint64(1000000)}}, "be at least 1,000,000"},
		{Rule{Kind: RuleBounds, Value: Bounds{High: int64(-1000), HighOpen: true}}, "be less than -1,000"},
		{Rule{Kind: RuleBounds, Value: Bounds{Low: time.Millisecond, High: 48 * time.Hour}}, "be 1ms to 2 days"},
		{Rule{Kind: RuleBounds, Value: Bounds{Low: 90 * time.Minute, High: 24 * time.Hour, HighOpen: true}}, "be at least 1h30m and less than 1 day"},
		{Rule{Kind: RuleConst, Value: int64(math.MinInt64)}, "be -9,223,372,036,854,775,808"},
		{Rule{Kind: RuleIn, Value: []any{"a", "b"}}, `be one of "a", "b"`},
		{Rule{Kind: RuleNotIn, Value: []any{EnumValue{Name: "NONE"}}}, "not be NONE"},
		{Rule{Kind: RuleIn, Value: []any{0.1, float64(float32(0.1))}}, "be one of 0.1, 0.1"},
	} {
		if got := c.rule.Words(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNearestNameIsFoundWhenOneIsNear(t *testing.T) {
	t.Parallel()
	names := []string{"keyvalue_basic", "keyvalue_scan", "list_basic", "key"}
	for name, want := range map[string]string{"keyvalue_bsic": "keyvalue_basic", "keyvalue_sacn": "keyvalue_scan", "kye": "key", "graph_query": "", "x": ""} {
		if got := nearest(name, names); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNamesThatLookLikeSecrets(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"password": true, "db_password": true, "dsn": true, "api_key": true, "s3_access_key": true, "private_key_file": true, "token": true,
		"tokenizer": false, "key": false, "access": false, "partition_key": false, "secretary": false, "page_size": false,
	} {
		if got := looksSecret(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestUnexported(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Scan": "scan", "TTL": "ttl", "CASBatch": "casBatch", "FullText": "fullText", "A": "a", "ABTest": "abTest", "S3": "s3", "already": "already",
	} {
		if got := Unexported(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
