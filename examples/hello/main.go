// Command hello stores a value in the gateway that `make run` starts, and reads it back.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/prismgate/prism/client"
)

func main() {
	prism, err := client.Dial("127.0.0.1:8980")
	if err != nil {
		log.Fatal(err)
	}
	kv := prism.Namespace("default").KeyValue()
	if _, err := kv.Set(context.Background(), "greeting", []byte("hello from Go")); err != nil {
		log.Fatal(err)
	}
	answer, err := kv.Get(context.Background(), "greeting")
	fmt.Println(string(answer.GetValue()), err)
}
