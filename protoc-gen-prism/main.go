// Command protoc-gen-prism is the protobuf plugin that writes what follows from Prism's schema: Go contracts, rpc tables, checks, backend and pattern types,
// the registry, SDKs and documentation.
//
// It is run by buf with `strategy: all`, because the registry needs all files at once. Its parameters are those of [model.Params], by their names in lower
// case.
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/generate"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "protoc-gen-prism:", err)
		os.Exit(1) //nolint:forbidigo // the plugin is a program
	}
}

// run answers one request of the compiler. A schema that is wrong is an answer too.
func run(in io.Reader, out io.Writer) error {
	encoded, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var request pluginpb.CodeGeneratorRequest
	if err := proto.Unmarshal(encoded, &request); err != nil {
		return err
	}
	answer, err := proto.Marshal(generate.Run(&request))
	if err != nil {
		return err
	}
	_, err = out.Write(answer)
	return err
}
