package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// block is a fenced block of a Markdown file that can be checked.
type block struct {
	// file is the file that the block repeats; empty for commands.
	file string
	// heading is the heading that it stands under.
	heading string
	// line is the number of the block's first line.
	line  int
	text  string
	steps []step
}

// step is a command and what it prints.
type step struct {
	line          int
	command, want string
}

// mistake is a place where the documentation is wrong.
type mistake struct {
	line int
	text string
}

// parse returns the blocks of a Markdown file that are to be checked.
func parse(source string) ([]block, error) {
	var blocks []block
	heading := ""
	lines := strings.Split(source, "\n")
	for i := 0; i < len(lines); i++ {
		info, fenced := strings.CutPrefix(lines[i], "```")
		if !fenced {
			if strings.HasPrefix(lines[i], "#") {
				heading = lines[i]
			}
			continue
		}
		start := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ { //nolint:revive // the loop finds the end of the block
		}
		if i == len(lines) {
			return nil, fmt.Errorf("%d: the block has no end", start)
		}
		body := lines[start:i]
		switch words := strings.Fields(info); {
		case len(words) == 2 && words[0] == "console" && words[1] == "tour":
			b := block{heading: heading, line: start + 1, steps: steps(body, start+1)}
			blocks = append(blocks, b)
		case len(words) == 2 && (words[0] == "go" || words[0] == "yaml"):
			blocks = append(blocks, block{heading: heading, file: words[1], line: start + 1, text: strings.Join(body, "\n") + "\n", steps: make([]step, 1)})
		}
	}
	return blocks, nil
}

func steps(lines []string, first int) []step {
	var all []step
	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if ok {
			s := step{line: first + i, command: command}
			for strings.HasSuffix(s.command, `\`) && i+1 < len(lines) {
				i++
				s.command += "\n" + lines[i]
			}
			all = append(all, s)
		} else if len(all) > 0 {
			all[len(all)-1].want += lines[i] + "\n"
		}
	}
	return all
}

// stepTimeout bounds a command of a page: one that hangs is a mistake of the page.
const stepTimeout = 2 * time.Minute

// check runs the block's commands, or compares it with its file.
func (b block) check(ctx context.Context, shown io.Writer, path string) []mistake {
	if b.file != "" {
		content, err := os.ReadFile(b.file)
		if err != nil {
			return []mistake{{b.line, err.Error()}}
		}
		if string(content) != b.text {
			return []mistake{{b.line, "the block is not the content of " + b.file}}
		}
		return nil
	}
	var mistakes []mistake
	for _, s := range b.steps {
		bounded, cancel := context.WithTimeout(ctx, stepTimeout)
		command := exec.CommandContext(bounded, "bash", "-c", s.command)
		command.WaitDelay = time.Second // what a step leaves in the background may hold its output open
		command.Env = append(os.Environ(), "PATH="+path)
		output, err := command.CombinedOutput()
		cancel()
		got := string(output)
		_, _ = fmt.Fprintf(shown, "$ %s\n%s", s.command, got)
		if !matches(s.want, got) {
			if err != nil {
				got += fmt.Sprintf("(%v)\n", err)
			}
			mistakes = append(mistakes, mistake{s.line, fmt.Sprintf("$ %s\nprinted:\n%sinstead of:\n%s", s.command, got, s.want)})
		}
	}
	return mistakes
}

// matches tells whether got is what is wanted, "..." standing for anything within a line. White space within JSON does not count: protobuf's encoder varies it
// from build to build.
func matches(want, got string) bool {
	want, got = compactJSON(want), compactJSON(got)
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), regexp.QuoteMeta("..."), ".*")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got)
}

// compactJSON takes the white space out of every line that is a JSON object.
func compactJSON(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		var compact bytes.Buffer
		if strings.HasPrefix(line, "{") && json.Compact(&compact, []byte(line)) == nil {
			lines[i] = compact.String()
		}
	}
	return strings.Join(lines, "\n")
}
