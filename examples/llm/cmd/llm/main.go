// Command llm runs one step of the example pipeline in package llm.
package main

import (
	"os"
	"time"

	"github.com/pedigree-ml/pedigree/examples/llm"
)

func main() {
	os.Exit(llm.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
}
