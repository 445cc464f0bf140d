package credit

import (
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/examples/internal/steps"
)

// maxFile bounds every data and weights file. The largest of this pipeline, the
// CSV, has 139,016 bytes.
const maxFile = 64 << 20

// maxConfig bounds config.json, which has about 4 KiB.
const maxConfig = 1 << 20

func commands() []steps.Command {
	return []steps.Command{ingestCommand(), splitCommand(), trainCommand(), quantizeCommand(), evaluateCommand()}
}

// Run runs the step that args, without the program's name, ask for. It returns
// the exit status: 0 if the step was done, 1 if it failed, 2 if args are wrong.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	p := steps.Program{Name: "credit", Overview: "Credit runs one step of a small machine-learning pipeline.", Commands: commands()}
	return p.Run(args, steps.Surroundings{Stdin: stdin, Stdout: stdout, Now: now}, stderr)
}
