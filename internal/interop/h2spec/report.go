package main

import (
	"encoding/xml"
	"os"
	"strings"
)

// junit is what h2spec writes with --junit-report.
type junit struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		ID      string `xml:"id,attr"`
		Cases   []struct {
			Name    string  `xml:"classname,attr"`
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
			Skipped *string `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// outcome is what became of the cases.
type outcome struct {
	tests   int
	skipped []string
	// failed are the reasons by case.
	failed map[string]string
}

func readReport(name string) (outcome, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return outcome{}, err
	}
	var report junit
	if err := xml.Unmarshal(content, &report); err != nil {
		return outcome{}, err
	}
	o := outcome{failed: map[string]string{}}
	for _, suite := range report.Suites {
		// The generic and HPACK suites number their sections on their own.
		section := strings.TrimPrefix(suite.Package, "http2/")
		for _, c := range suite.Cases {
			o.tests++
			name := section + ": " + c.Name
			switch {
			case c.Failure != nil:
				o.failed[name] = *c.Failure
			case c.Error != nil:
				o.failed[name] = *c.Error
			case c.Skipped != nil:
				o.skipped = append(o.skipped, name)
			}
		}
	}
	return o, nil
}
