// Command credit runs one step of the example pipeline in package credit.
package main

import (
	"os"
	"time"

	"github.com/pedigree-ml/pedigree/examples/credit"
)

func main() {
	os.Exit(credit.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
}
