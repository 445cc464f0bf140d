// Package step runs a command and records what it consumed and produced.
//
// A record made afterwards is a recollection. Here the record is made by the one
// who stands beside: declared inputs are hashed before the command starts and
// again after it ended, so that what the statement names is what lay there the
// whole time; outputs are packed by what they are, not by what somebody says
// they are; and what was not declared, hashed or measured is not claimed.
//
// [Run] does one step in this order, and the order is the safety:
//
//  1. check the [Spec], open every repository, resolve every tag once;
//  2. hash the inputs and read the state of the code;
//  3. run the command;
//  4. hash the inputs again: a difference ends here, with nothing attested;
//  5. pack all outputs, push all of them by digest, attach one statement to
//     each, and only then move the tags.
//
// So an interrupted or failed step leaves no tag on anything without its
// statement, and doing it again works: packing is deterministic, pushing what is
// there already is harmless, and a further statement is a further record.
//
// What it does not see: files the command reads without their being declared,
// what it fetches from a network, and whether it used an input at all.
package step

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Spec says what to run and what to record about it. It is plain data; Run
// checks it. Paths are relative to the working directory.
type Spec struct {
	Step    string   // the step's name; it becomes the build type
	Command []string // program and arguments, recorded as they are: no secrets

	Inputs  []Input
	Outputs []Output // each gets a statement; exclusive with About
	About   *About   // the artifact that the command writes a predicate about

	Code       string   // a git work tree whose commit is an input of role "code"; empty: none
	AllowDirty bool     // pack a work tree that differs from its commit as the code; else it is no input
	Locks      []string // files that pin the environment; inputs of role "environment"

	Params  []Param  // recorded as given
	Env     []string // names of environment variables to record, where they are set
	Builder string   // the URI of who ran this; empty: DefaultBuilder
	Log     string   // a file to write the command's output to; empty: only its digest is kept

	// RecordFailure attests a failed command about About, as a test result
	// FAILED. Without About there is nothing that a record could be about, and
	// the Spec is refused.
	RecordFailure bool
}

// An Input is one thing the command consumes, in one of three forms:
//
//   - Ref: an artifact in a repository. With Path, all of its files must lie
//     there, no others, and all are hashed.
//   - Path alone: a file, named by its bytes.
//   - URI and Digest: something elsewhere. With Path, that file must have the
//     digest.
//
// An input of the first or last form without a Path is recorded as not observed:
// of an artifact the manifest is fetched and hashed, but nobody looked at what
// the command reads.
type Input struct {
	Role   string
	Ref    attest.Reference
	Path   string
	URI    string
	Digest attest.Digest
}

// An Output is one thing the command produces: a file or folder, and where it
// goes.
type Output struct {
	Name string // unique within the run; policies refer to it
	Path string
	To   attest.Reference // a repository, and the tag to move if there is one
	Kind string           // what the files are, as Metadata.Kind has it; empty: the packer's default
}

// An About is an artifact, and the predicate that the command writes about it.
type About struct {
	Ref           attest.Reference
	Path          string // where the whole artifact lies on disk, checked like an input's; may be empty
	PredicateType string // the type's URI
	Predicate     string // the file that the command writes; it must not exist before
}

// A Param is one parameter of the step, for instance a hyperparameter.
type Param struct{ Name, Value string }

// DefaultBuilder is the builder of a step that somebody ran on a machine of
// their own.
const DefaultBuilder = "https://pedigree-ml.github.io/builder/local/v1"

// Metadata is what an artifact says about itself beside its files. It is part of
// what is hashed.
type Metadata struct {
	Kind string
	Name string
}

// A Packed is an artifact that was hashed and named, and is not stored yet.
type Packed struct {
	Digest attest.Digest
	// Push stores the artifact under its digest, and makes tag name it unless that
	// is empty; what is stored already is not sent again. It refuses with
	// attest.CodeFileChanged if a file is no longer what was hashed.
	Push func(ctx context.Context, tag string) error
}

// A Store is one repository, as far as a step needs it. What it returns is
// untrusted: Run hashes manifests itself. "It is not there" is an error that
// wraps attest.ErrAbsent; every other error means that nobody knows.
type Store interface {
	// Resolve returns the digest behind a reference's tag, or its digest if it
	// names one.
	Resolve(ctx context.Context, ref attest.Reference) (attest.Digest, error)
	// Manifest returns the bytes of a manifest.
	Manifest(ctx context.Context, d attest.Digest) ([]byte, error)
	// Pack hashes files and folders into an artifact and stores nothing.
	Pack(ctx context.Context, paths []string, m Metadata) (Packed, error)
	// Attach attaches a bundle to an artifact, and returns the digest of the
	// manifest that holds it once a fresh listing shows it.
	Attach(ctx context.Context, to attest.Digest, bundle []byte) (attest.Digest, error)
}

// Deps is everything outside that a step touches. Store, Sign, Now and Rand
// are required.
type Deps struct {
	Store func(attest.Repository) (Store, error)
	// Sign signs a statement and returns the bundle, as attest.Sign does. It is called
	// once for each statement, after the command ended: whoever signs with something
	// short-lived gets it then.
	Sign func(ctx context.Context, payload []byte) (bundle []byte, err error)
	Now  func() time.Time
	Rand io.Reader // 16 bytes of it name the run

	Stdin          io.Reader // the command's; nil is empty
	Stdout, Stderr io.Writer // where the command's output goes besides its digest; nil drops it
	Environ        []string  // the command's environment, as os.Environ has it
	Version        string    // Pedigree's, for the record
	Scratch        string    // a folder for copies of a dirty work tree; empty: the system's

	// Progress is told how many bytes of inputs were hashed, from several
	// goroutines; nil is fine.
	Progress func(n int64)
}

// Statuses that Run gives itself, as env(1) does. Every other status is the
// command's own, 128+n if signal n ended it.
const (
	StatusFailed        = 125 // the step could not be recorded, whatever the command said
	StatusNotExecutable = 126 // the command was found and could not be started
	StatusNotFound      = 127 // the command was not found
)

// A Result says how a step ended. With an error, only Status, Notes and a
// recorded failure's About are set.
type Result struct {
	Status       int // what the process should exit with
	InvocationID string
	Inputs       []Consumed
	Outputs      []Attested
	About        *Attested
	Notes        []string // for people: what was left out or looked odd, one clause each
}

// A Consumed is an input as it was recorded.
type Consumed struct {
	Role     string
	Digest   attest.Digest
	Observed bool
}

// An Attested is an artifact with the statement that was made about it.
type Attested struct {
	Name        string           // an output's name; empty for About
	Ref         attest.Reference // repository, tag if one was moved, and digest
	Payload     attest.Digest    // the statement
	Attestation attest.Digest    // the manifest that holds its bundle
}

// Run does one step: see the package comment for the order. Whatever goes wrong
// before the statements is an error with nothing attested. The codes beside those
// of the repositories and of hashing files:
//
//	E_USAGE             the Spec contradicts itself
//	E_UNPINNED          an input, or a work tree, that no digest names
//	E_FILE_MISSING      a declared file is not there
//	E_SUBJECT_MISMATCH  the files on disk are not the artifact they should be
//	E_FILE_CHANGED      an input, or the code, changed while the command ran
//	E_COMMAND           the command failed; Result.Status has its status
//	E_INTERRUPTED       ctx ended; the command and its process group were ended too
func Run(ctx context.Context, spec Spec, deps Deps) (Result, error) {
	r := &run{spec: spec, deps: deps, stores: map[attest.Repository]Store{}}
	defer r.clean()
	err := r.do(ctx)
	if err != nil && ctx.Err() != nil && attest.RefusalCode(err) != attest.CodeInterrupted {
		// Which call noticed first is chance; that somebody stopped it is the reason.
		err = &attest.Refusal{Code: attest.CodeInterrupted, Why: "stopped before the step was recorded",
			Next: "run it again; outputs were left as they are", Err: err}
	}
	if err != nil && r.result.Status == 0 {
		r.result.Status = StatusFailed
	}
	return r.result, err
}

// A run is one call of Run.
type run struct {
	spec    Spec
	deps    Deps
	result  Result
	stores  map[attest.Repository]Store
	inputs  []*observation // in the order they are recorded
	subject *observation   // of spec.About
	code    *codeState
	existed []string // names of outputs that were there before
	outcome outcome
	cleanup []func()
}

func (r *run) clean() {
	for _, f := range r.cleanup {
		f()
	}
}

func (r *run) note(s string) { r.result.Notes = append(r.result.Notes, s) }

func (r *run) do(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	id, err := newInvocationID(r.deps.Rand)
	if err != nil {
		return err
	}
	r.outcome, err = r.execute(ctx)
	r.result.Status = r.outcome.status
	if err != nil {
		return err
	}
	failed := r.outcome.status != 0
	if failed && !r.spec.RecordFailure {
		return r.commandFailed(nil)
	}
	if err := r.recheck(ctx); err != nil {
		return err
	}
	if failed {
		return r.commandFailed(r.attestFailure(ctx))
	}
	r.result.Status = StatusFailed // until everything is attached
	if r.spec.About != nil {
		err = r.attestPredicate(ctx)
	} else {
		err = r.publish(ctx, id)
	}
	if err != nil {
		return err
	}
	r.result.Status = 0
	for _, in := range r.inputs {
		r.result.Inputs = append(r.result.Inputs, Consumed{in.role, in.digest, in.observed})
	}
	return nil
}

func (r *run) commandFailed(recording error) error {
	e := &attest.Refusal{Code: attest.CodeCommand, About: r.spec.Command[0], Why: r.outcome.String(), Err: recording}
	switch {
	case recording != nil:
		e.Why += ", and its failure could not be recorded"
	case r.spec.RecordFailure:
		e.Why += "; its failure was recorded"
	default:
		e.Why += ": nothing was attested"
		e.Next = "outputs were left as they are; mend the command and run it again"
	}
	return e
}

// prepare does everything that can fail before hours are spent.
func (r *run) prepare(ctx context.Context) error {
	if err := r.deps.check(); err != nil {
		return err
	}
	if err := r.spec.check(); err != nil {
		return err
	}
	if err := cmp.Or(r.checkEnvironment(), checkPlaces(r.spec)); err != nil {
		return err
	}
	for _, o := range r.spec.Outputs {
		if _, err := r.store(o.To.Repository); err != nil {
			return err
		}
	}
	if err := r.lookForOutputs(); err != nil {
		return err
	}
	return r.observe(ctx)
}

func (r *run) store(repo attest.Repository) (Store, error) {
	if s, ok := r.stores[repo]; ok {
		return s, nil
	}
	s, err := r.deps.Store(repo)
	if err != nil {
		return nil, err
	}
	r.stores[repo] = s
	return s, nil
}

func (d *Deps) check() error {
	if d.Store == nil || d.Sign == nil || d.Now == nil || d.Rand == nil {
		return attest.Refuse(attest.CodeInternal, "a step needs a store, somebody who signs, a clock and a source of randomness")
	}
	if d.Progress == nil {
		d.Progress = func(int64) {}
	}
	return nil
}
