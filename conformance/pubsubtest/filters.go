package pubsubtest

import "strings"

// filterCase is a filter with attributes for which it holds and for which it does not.
type filterCase struct {
	filter       string
	holds, fails []map[string]string
}

// only returns attributes that have one name in common, one for each value.
func only(name string, values ...string) []map[string]string {
	made := make([]map[string]string, len(values))
	for n, value := range values {
		made[n] = map[string]string{name: value}
	}
	return made
}

// none is the attributes of a message that has none.
func none() map[string]string { return nil }

// filterCases are filters of every kind that the contract has.
func filterCases() map[string][]filterCase {
	type attributes = map[string]string
	return map[string][]filterCase{
		"Empty": {
			{"", []attributes{none(), {"x": "a"}}, nil},
		},
		"Strings": {
			{`attributes.x == "a"`, only("x", "a"), append(only("x", "b", "A", "", "aa", "a ", " a", "á"), none(), attributes{"y": "a"})},
			{`attributes.x != "a"`, only("x", "b", "A", "", "aa"), append(only("x", "a"), none(), attributes{"y": "b"})},
			{`attributes.x == ""`, only("x", ""), append(only("x", "a"), none())},
			{`attributes.x < "b"`, only("x", "", "a", "B", "az", "10"), append(only("x", "b", "ba", "c", "é"), none())},
			{`attributes.x <= "b"`, only("x", "", "a", "b"), append(only("x", "b\x00", "ba", "c"), none())},
			{`attributes.x > "b"`, only("x", "b ", "ba", "c", "é"), append(only("x", "b", "a", "B", ""), none())},
			{`attributes.x >= "b"`, only("x", "b", "c"), append(only("x", "a", ""), none())},
			{`attributes.x > "10"`, only("x", "9", "100"), only("x", "10", "1", "09")},
			{`attributes.x in ["a", "b,c", ""]`, only("x", "a", "b,c", ""), append(only("x", "b", "c", "A", `["a"]`), none())},
			{`attributes.x in ["a"]`, only("x", "a"), only("x", "b")},
			{`attributes.x == "a && b"`, only("x", "a && b"), only("x", "a")},
		},
		"StringsCompareByteByByteInUTF8": {
			{`attributes.x > "\uffff"`, only("x", "\U00010000", "😀"), only("x", "\uffff", "\ue000", "z")}, // UTF-16 has it the other way round
			{`attributes.x < "é"`, only("x", "z", "~", "è"), only("x", "é", "ê", "日")},
			{`attributes.x == "é"`, only("x", "é"), only("x", "e\u0301", "e")},
		},
		"Names": {
			{`attributes["any-name"] == "a"`, only("any-name", "a"), append(only("any-name", "b"), attributes{"any": "a"}, attributes{"any_name": "a"})},
			{`attributes["a.b"] == "1"`, only("a.b", "1"), append(only("a", "1"), attributes{"b": "1"})},
			{`attributes['x'] == "a"`, only("x", "a"), only("x", "b")},
			{`attributes["0"] == "a"`, only("0", "a"), only("x", "a")},
			{`attributes._x_1 == "a"`, only("_x_1", "a"), only("x_1", "a")},
			{`attributes.attributes == "a"`, only("attributes", "a"), only("x", "a")},
			{`double(attributes["any-name"]) > 0`, only("any-name", "1"), only("any-name", "-1")},
			{`attributes["any-name"].startsWith("a")`, only("any-name", "ab"), only("any-name", "b")},
		},
		"Numbers": {
			{`double(attributes.x) == 10`, only("x", "10", "10.0", "1e1", "010", "100e-1", "10.000"), append(only("x", "11", "-10", "10.0001"), none())},
			{`double(attributes.x) != 10`, only("x", "11", "-10", "0"), append(only("x", "10", "1e1", "ten", "", "NaN"), none())},
			{`double(attributes.x) < 10`, only("x", "9", "-100", "9.999", "0"), append(only("x", "10", "100", "", "ten"), none())},
			{`double(attributes.x) <= 10.5`, only("x", "10.5", "9"), only("x", "10.51", "1e3")},
			{`double(attributes.x) > -1.5`, only("x", "0", "-1.4", "-1", "1e-9"), append(only("x", "-1.5", "-2", "NaN", "inf", "Infinity"), none())},
			{`double(attributes.x) >= -1.5e2`, only("x", "-150", "0"), only("x", "-151", "-1e3")},
			{`double(attributes.x) == 0.1`, only("x", "0.1", "0.10", "1e-1"), only("x", "0.11", "0")},
			{`double(attributes.x) == 1E3`, only("x", "1000", "1e3"), only("x", "1E4")},
			{`double(attributes.x) in [1, -2.5, 3e2]`, only("x", "1.0", "-2.5", "300"), append(only("x", "2.5", "2", "one"), none())},
			{`double(attributes.x) == 9007199254740992`, only("x", "9007199254740992", "9007199254740993"), only("x", "9007199254740994")}, // doubles have 53 bits
		},
		"WhatIsNoNumber": {
			{`double(attributes.x) < 1e300`, only("x", "0"), only("x", "", " ", "a", "1a", "a1", "0x10", "1_0", "1,0", "1.0.0", "1e", "e1", "--1", "-", ".", "NaN", "nan", "-inf", "-Infinity", " 1", "1 ", "1\n", "١", "true")},
			{`!(double(attributes.x) < 1e300)`, append(only("x", "", "a", "NaN", "-inf"), none()), only("x", "0", "-1")},
		},
		"Missing": {
			{`!(attributes.x == "a")`, append(only("x", "b"), none()), only("x", "a")},
			{`!(attributes.x != "a")`, append(only("x", "a"), none()), only("x", "b")},
			{`!(attributes.x < "a") && !(attributes.x >= "a")`, []attributes{none(), {"y": "a"}}, only("x", "a", "b", "")},
			{`!(attributes.x in ["a"])`, append(only("x", "b"), none()), only("x", "a")},
			{`!(double(attributes.x) == 1)`, append(only("x", "2", "one"), none()), only("x", "1")},
			{`!attributes.x.startsWith("a")`, append(only("x", "b"), none()), only("x", "a")},
			{`attributes.x == "a" || attributes.y == "b"`, append(only("x", "a"), attributes{"y": "b"}), []attributes{none(), {"x": "b"}}},
			{`attributes.x == "a" && attributes.y == "b"`, []attributes{{"x": "a", "y": "b"}}, []attributes{{"x": "a"}, {"y": "b"}, none()}},
		},
		"Presence": {
			{`has(attributes.x)`, only("x", "", "a"), []attributes{none(), {"y": "x"}, {"xx": ""}}},
			{`!has(attributes.x)`, []attributes{none(), {"y": ""}}, only("x", "", "a")},
			{`"any-name" in attributes`, only("any-name", "", "a"), []attributes{none(), {"x": "any-name"}}},
			{`!("x" in attributes)`, []attributes{none(), {"y": "x"}}, only("x", "")},
		},
		"Functions": {
			{`attributes.x.startsWith("ab")`, only("x", "ab", "abc"), append(only("x", "a", "xab", "Ab", ""), none())},
			{`attributes.x.endsWith("ab")`, only("x", "ab", "cab"), append(only("x", "b", "abx", "AB", ""), none())},
			{`attributes.x.contains("ab")`, only("x", "ab", "xaby"), append(only("x", "a b", "ba", "AB", ""), none())},
			{`attributes.x.contains("")`, only("x", "", "a"), []attributes{none()}},
			{`attributes.x.contains(".*")`, only("x", "a.*b"), only("x", "ab", "a.b")},
			{`attributes.x.startsWith("%")`, only("x", "%a"), only("x", "a")},
			{`attributes.x.endsWith("é")`, only("x", "caf\u00e9"), only("x", "cafe\u0301")},
		},
		"Operators": {
			{`attributes.a == "1" || attributes.b == "1" && attributes.c == "1"`, []attributes{{"a": "1"}, {"b": "1", "c": "1"}}, []attributes{{"b": "1"}, {"c": "1"}}},
			{`attributes.a == "1" && attributes.b == "1" || attributes.c == "1"`, []attributes{{"c": "1"}, {"a": "1", "b": "1"}}, []attributes{{"a": "1"}, {"b": "1"}}},
			{`(attributes.a == "1" || attributes.b == "1") && attributes.c == "1"`, []attributes{{"a": "1", "c": "1"}, {"b": "1", "c": "1"}}, []attributes{{"a": "1"}, {"c": "1"}}},
			{`!has(attributes.a) && has(attributes.b)`, only("b", ""), []attributes{none(), {"a": "", "b": ""}, {"a": ""}}},
			{`!(has(attributes.a) && has(attributes.b))`, []attributes{none(), {"a": ""}, {"b": ""}}, []attributes{{"a": "", "b": ""}}},
			{`!has(attributes.a) || !has(attributes.b)`, []attributes{none(), {"a": ""}}, []attributes{{"a": "", "b": ""}}},
			{`!!has(attributes.a)`, only("a", ""), []attributes{none()}},
			{`((attributes.a == "1"))`, only("a", "1"), only("a", "2")},
			{"attributes.a == \"1\"\n\t||\r\n attributes.a==\"2\"", only("a", "1", "2"), only("a", "3")},
			{`attributes.a == "1" || attributes.a == "2" || attributes.a == "3"`, only("a", "1", "2", "3"), only("a", "4")},
			{`has(attributes.a) && has(attributes.b) && has(attributes.c)`, []attributes{{"a": "", "b": "", "c": ""}}, []attributes{{"a": "", "b": ""}, {"b": "", "c": ""}}},
		},
		"Literals": {
			{`attributes.x == 'it"s'`, only("x", `it"s`), only("x", "its")},
			{`attributes.x == "it's"`, only("x", `it's`), only("x", "its")},
			{`attributes.x == "\"\\\n\t\r"`, only("x", "\"\\\n\t\r"), only("x", `\"\\\n`)},
			{`attributes.x == '\''`, only("x", "'"), only("x", `\'`)},
			{`attributes.x == "\u00e9\U0001F600"`, only("x", "é😀"), only("x", "é")},
			{`attributes.x == "日本語"`, only("x", "日本語"), only("x", "日本")},
			{`attributes.x == "// no comment"`, only("x", "// no comment"), only("x", "")},
		},
	}
}

// refusedFilter is a text that is no filter, and what of it is right: the byte behind is where it is wrong.
type refusedFilter struct{ right, wrong string }

func refusedFilters() []refusedFilter {
	return []refusedFilter{
		{`attributes.x `, `= "a"`},
		{`attributes.x == "a" `, `& has(attributes.y)`},
		{`attributes.x == "a" `, `| has(attributes.y)`},
		{`attributes.x == "a" `, `and has(attributes.y)`},
		{``, `y == "a"`},
		{`attributes.x == "é" && `, `y == "a"`}, // bytes, not characters
		{"attributes.x == \"日本\"\n||\n\t", `message.x == "a"`},
		{``, `attributes.x`},
		{``, `true`},
		{``, `"a" == attributes.x`},
		{`attributes.x == `, `attributes.y`},
		{`attributes.x == `, `1`},
		{`attributes.x in ["a", `, `1]`},
		{`double(attributes.x) == `, `"1"`},
		{`double(attributes.x) == `, `NaN`},
		{`attributes.x == `, `null`},
		{`attributes.x == "a" `, `+ "b"`},
		{`attributes.x == "a" `, `? true : false`},
		{`attributes.`, `exists(k, k == "a")`},
		{`attributes.x.`, `matches("a.*")`},
		{`attributes.x.`, `size() == 1`},
		{``, `size(attributes) > 1`},
		{``, `int(attributes.x) == 1`},
		{``, `timestamp(attributes.x) > timestamp("2020-01-01T00:00:00Z")`},
		{`attributes.x == `, `"a`},
		{`attributes.x ==`, ``},
		{`attributes.x == "a" && `, ``},
		{`attributes.x == "a"`, `)`},
		{`attributes.x == "`, `\q"`},
		{`attributes[`, `x] == "a"`},
		{strings.Repeat(`has(attributes.x) && `, 20), `has(x)`},
	}
}
