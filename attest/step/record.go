package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pedigree-ml/pedigree/attest"
)

// newInvocationID returns a random UUID (RFC 9562, version 4).
func newInvocationID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", &attest.Refusal{Code: attest.CodeInternal, Why: "no randomness", Err: err}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// publish packs, pushes, attests and tags the outputs, each for all of them
// before the next: so nothing is pushed if one cannot be packed, nothing is
// attested if one cannot be pushed, and no tag names what has no statement.
func (r *run) publish(ctx context.Context, id string) error {
	packed := make([]Packed, len(r.spec.Outputs))
	for i, o := range r.spec.Outputs {
		store, err := r.store(o.To.Repository)
		if err != nil {
			return err
		}
		if packed[i], err = store.Pack(ctx, []string{o.Path}, Metadata{Kind: o.Kind, Name: o.Name}); err != nil {
			return outputError(o, err)
		}
	}
	if r.code != nil && r.code.packed != nil {
		if err := r.code.packed.Push(ctx, ""); err != nil {
			return err
		}
	}
	for _, p := range packed {
		if err := p.Push(ctx, ""); err != nil {
			return err
		}
	}
	attested := make([]Attested, len(packed))
	for i, o := range r.spec.Outputs {
		payload, err := r.provenance(id, i, packed)
		if err != nil {
			return err
		}
		a := Attested{Name: o.Name, Ref: o.To}
		a.Ref.Digest = packed[i].Digest
		if err := r.attach(ctx, &a, payload); err != nil {
			return err
		}
		attested[i] = a
	}
	for i, o := range r.spec.Outputs {
		if o.To.Tag == "" {
			continue
		}
		if err := packed[i].Push(ctx, o.To.Tag); err != nil {
			return err
		}
	}
	r.result.InvocationID, r.result.Outputs = id, attested
	return nil
}

// outputError says of an output that is not there whose it is.
func outputError(o Output, err error) error {
	if attest.RefusalCode(err) != attest.CodeFileMissing {
		return err
	}
	return &attest.Refusal{Code: attest.CodeFileMissing, About: o.Path, Why: "the command succeeded and did not write the output " + o.Name,
		Next: "correct the path of --output, or the command", Err: err}
}

// attach signs a statement and attaches it.
func (r *run) attach(ctx context.Context, a *Attested, payload []byte) error {
	store, err := r.store(a.Ref.Repository)
	if err != nil {
		return err
	}
	bundle, err := r.deps.Sign(ctx, payload)
	if err != nil {
		return err
	}
	a.Payload = attest.SHA256(payload)
	a.Attestation, err = store.Attach(ctx, a.Ref.Digest, bundle)
	return err
}

// attestPredicate attests what the command wrote about spec.About.
func (r *run) attestPredicate(ctx context.Context) error {
	about := r.spec.About
	written, err := readPredicate(about.Predicate)
	if err != nil {
		return err
	}
	body, err := about.complete(written, r.inputs)
	if err != nil {
		return err
	}
	return r.attestAbout(ctx, about.PredicateType, body)
}

// attestFailure attests that the command failed on spec.About: as a test result,
// because that is what a failed evaluation is, and no metric is known.
func (r *run) attestFailure(ctx context.Context) error {
	body, err := failure(r.spec.Step, r.inputs)
	if err != nil {
		return err
	}
	return r.attestAbout(ctx, typeTestResult, body)
}

func (r *run) attestAbout(ctx context.Context, predicateType string, body json.RawMessage) error {
	if r.code != nil && r.code.packed != nil {
		if err := r.code.packed.Push(ctx, ""); err != nil {
			return err
		}
	}
	a := Attested{Ref: r.spec.About.Ref}
	a.Ref.Digest = r.subject.digest
	payload, err := attest.NewStatement(attest.Subject{Name: a.Ref.Tag, Digest: a.Ref.Digest}, predicateType, body)
	if err != nil {
		return err
	}
	if err := r.attach(ctx, &a, payload); err != nil {
		return err
	}
	r.result.About = &a
	return nil
}

// readPredicate reads the file that the command wrote. A link is not followed:
// where it leads was not checked to be empty before.
func readPredicate(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &attest.Refusal{Code: attest.CodeFileMissing, About: path, Why: "the command succeeded and did not write its predicate"}
	case err != nil:
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	case !info.Mode().IsRegular():
		return nil, &attest.Refusal{Code: attest.CodeFileType, About: path, Why: "not a regular file"}
	case info.Size() > attest.MaxPayload:
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: path, Why: fmt.Sprintf("%d bytes, and a statement has at most %d", info.Size(), attest.MaxPayload)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	}
	defer f.Close()
	// One byte more than checked above: a file that grows must not read as one
	// that fits.
	b, err := io.ReadAll(io.LimitReader(f, attest.MaxPayload+1))
	if err != nil {
		return nil, &attest.Refusal{Code: attest.CodeFileIO, About: path, Err: err}
	}
	if len(b) > attest.MaxPayload {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: path, Why: "grew while it was read"}
	}
	return b, nil
}
