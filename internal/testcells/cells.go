package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/prismgate/prism/internal/testroutes"
	"github.com/prismgate/prism/runtime/catalog"
)

// cell is one interface of one backend over one route, or the comparison of a data model with MemStore.
type cell struct{ folder, route, name string }

// result is what became of a cell.
type result struct {
	// outcome is pass, fail or skip; "" when the cell did not end.
	outcome string
	// skipped is a case that was skipped; "" when none was.
	skipped string
}

// expected returns the cells that the schema declares, in the order of the table.
func expected(known *catalog.Catalog, backends []catalog.Backend) []cell {
	var cells []cell
	for _, backend := range backends {
		for _, route := range testroutes.Of(backend.Name) {
			for _, name := range route.Cells(known, backend) {
				cells = append(cells, cell{folder(backend.Name), route.Name, name})
			}
		}
	}
	return cells
}

// event is a line of what `go test -json` prints.
type event struct {
	Action, Package, Test, Output string
}

// read reads what `go test -json` prints, shows what failed, and returns what became of each cell.
func read(from io.Reader, show io.Writer) (map[cell]result, error) {
	cells := map[cell]result{}
	said := map[[2]string][]string{}
	decoder := json.NewDecoder(from)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return cells, nil
		} else if err != nil {
			return nil, fmt.Errorf("what go test prints: %w", err)
		}
		test := [2]string{e.Package, e.Test}
		switch e.Action {
		case "output":
			said[test] = append(said[test], e.Output)
		case "build-output":
			_, _ = io.WriteString(show, e.Output)
		case "fail", "skip":
			_, _ = io.WriteString(show, strings.Join(said[test], ""))
			fallthrough
		case "pass":
			delete(said, test)
			note(cells, e)
		}
	}
}

// note keeps the end of a test: TestRoutes/route/interface, or a case of it.
func note(cells map[cell]result, e event) {
	parts := strings.SplitN(e.Test, "/", 4)
	if len(parts) < 3 {
		return
	}
	of := cell{path.Base(e.Package), parts[1], parts[2]}
	noted := cells[of]
	switch {
	case len(parts) == 3:
		noted.outcome = e.Action
	case e.Action == "skip":
		noted.skipped = parts[3]
	}
	cells[of] = noted
}

// report prints how many cells ran and passed, by backend and route. The error names those that did not.
func report(to io.Writer, expected []cell, cells map[cell]result) error {
	type place struct{ folder, route string }
	all, passed := map[place]int{}, map[place]int{}
	var folders, routes []string
	var total int
	var problems []error
	for _, c := range expected {
		at := place{c.folder, c.route}
		all[at]++
		if !slices.Contains(folders, c.folder) {
			folders = append(folders, c.folder)
		}
		if problem := cells[c].problem(); problem != "" {
			problems = append(problems, fmt.Errorf("%s of %s over %s %s", c.name, c.folder, c.route, problem))
			continue
		}
		passed[at]++
		total++
	}
	for _, route := range testroutes.Routes() {
		routes = append(routes, route.Name)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "backend\t%s\n", strings.Join(routes, "\t"))
	for _, folder := range folders {
		line := []string{folder}
		for _, route := range routes {
			count := "-"
			if at := (place{folder, route}); all[at] > 0 {
				count = fmt.Sprintf("%d/%d", passed[at], all[at])
			}
			line = append(line, count)
		}
		_, _ = fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(to, "%d of %d cells ran whole and passed (interface x backend x route)\n", total, len(expected))
	return errors.Join(problems...)
}

// problem says what is wrong with a cell; "" when it ran whole and passed.
func (r result) problem() string {
	switch {
	case r.outcome == "":
		return "did not run"
	case r.outcome == "fail":
		return "failed"
	case r.outcome == "skip":
		return "was skipped"
	case r.skipped != "":
		return "was skipped in part: " + r.skipped
	}
	return ""
}
