package index

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/attest/predicate"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// dictionary is what bundles and manifests are mostly made of. Bundles are small,
// and nearly all of one is like every other; the dictionary lets each be written as
// what is different. Another dictionary is another format: see version.
//
//go:embed dictionary.txt
var dictionary []byte

const (
	// level is flate's. Of 138 bundles of the demonstration it leaves 607 bytes each,
	// in 44 µs; the highest leaves 582, in 51. The lowest knows no dictionaries: 1,067.
	level = 2

	// maxPacked bounds what is unpacked: the largest bundle, and the names that lead
	// to it, which are taken from its payload.
	maxPacked = 2 * attest.MaxBundle
)

// A packer packs and unpacks. Its parts are large and used again.
type packer struct{ writers, readers sync.Pool }

// payloadKey is where a bundle's payload begins, as every producer spells it. One
// who does not only gets a larger row.
const payloadKey = `"payload":"`

// A class tells in the first byte of what is packed what kind of statement it is, so
// that who looks for some need not unpack all. Other numbers are another format: see
// version.
const (
	otherClass byte = iota
	makingClass
	judgingClass
	approvingClass
	deployingClass
	revokingClass
)

// classOf is the class of a predicate type.
func classOf(predicateType string) byte {
	switch predicateType {
	case predicate.TypeProvenance:
		return makingClass
	case predicate.TypeEvaluation:
		return judgingClass
	case predicate.TypeApproval:
		return approvingClass
	case predicate.TypeDeployment:
		return deployingClass
	case predicate.TypeRevocation:
		return revokingClass
	}
	return otherClass
}

// classOfRelated is the class of what leads to a statement.
func classOfRelated(related []lineage.Related) byte {
	for _, r := range related {
		if r.Relation == lineage.OfType {
			return classOf(r.Name)
		}
	}
	return otherClass
}

// bundle packs a bundle and what leads to it. Base64 hides from a compressor that
// payloads are alike, so the payload is packed as what it stands for, if it can be
// put back to the same bytes.
func (p *packer) bundle(b []byte, related []lineage.Related) ([]byte, error) {
	before, payload, after := split(b)
	out := make([]byte, 0, len(b)+len(b)/4+64)
	for _, n := range []int{len(before), len(payload), len(after)} {
		out = binary.AppendUvarint(out, uint64(n))
	}
	out = append(append(append(out, before...), payload...), after...)
	for _, r := range related {
		out = append(out, byte(r.Relation))
		out = binary.AppendUvarint(out, uint64(len(r.Name)))
		out = append(out, r.Name...)
	}
	packed, err := p.deflate(out)
	if err != nil {
		return nil, err
	}
	return append([]byte{classOfRelated(related)}, packed...), nil
}

// split returns what stands before a bundle's payload, the payload decoded, and what
// stands after it; or everything before, if there is none.
func split(b []byte) (before, payload, after []byte) {
	i := bytes.Index(b, []byte(payloadKey))
	if i < 0 {
		return b, nil, nil
	}
	i += len(payloadKey)
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return b, nil, nil
	}
	text := b[i : i+n]
	payload, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || base64.StdEncoding.EncodedLen(len(payload)) != len(text) {
		return b, nil, nil // line feeds in base64 are decoded, and would not come back
	}
	return b[:i], payload, b[i+n:]
}

var errPacked = errors.New("what was packed is damaged")

// unbundle returns what bundle packed.
func (p *packer) unbundle(packed []byte) (bundle []byte, related []lineage.Related, err error) {
	if len(packed) == 0 {
		return nil, nil, errPacked
	}
	class := packed[0]
	b, err := p.inflate(packed[1:])
	if err != nil {
		return nil, nil, err
	}
	var parts [3][]byte
	var lengths [3]uint64
	for i := range lengths {
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return nil, nil, errPacked
		}
		lengths[i], b = n, b[used:]
	}
	for i, n := range lengths {
		if n > uint64(len(b)) {
			return nil, nil, errPacked
		}
		parts[i], b = b[:n], b[n:]
	}
	bundle = make([]byte, 0, len(parts[0])+base64.StdEncoding.EncodedLen(len(parts[1]))+len(parts[2]))
	bundle = append(base64.StdEncoding.AppendEncode(append(bundle, parts[0]...), parts[1]), parts[2]...)
	if len(bundle) > attest.MaxBundle {
		return nil, nil, errPacked
	}
	for len(b) > 0 {
		r := lineage.Related{Relation: lineage.Relation(b[0])}
		n, used := binary.Uvarint(b[1:])
		if used <= 0 || n > uint64(len(b)-1-used) {
			return nil, nil, errPacked
		}
		b = b[1+used:]
		r.Name, b = string(b[:n]), b[n:]
		related = append(related, r)
	}
	if class != classOfRelated(related) {
		return nil, nil, errPacked
	}
	return bundle, related, nil
}

// deflate compresses what inflate will take.
func (p *packer) deflate(b []byte) ([]byte, error) {
	if len(b) > maxPacked {
		return nil, attest.Refuse(attest.CodeLimit, "%d bytes in one piece, at most %d are kept", len(b), maxPacked)
	}
	out := bytes.NewBuffer(make([]byte, 0, len(b)/2+64))
	w, ok := p.writers.Get().(*flate.Writer)
	if !ok {
		var err error
		if w, err = flate.NewWriterDict(out, level, dictionary); err != nil {
			return nil, err // unreachable: the level is one of flate's
		}
	} else {
		w.Reset(out)
	}
	defer p.writers.Put(w)
	if _, err := w.Write(b); err != nil {
		return nil, err // unreachable: a buffer takes everything
	}
	if err := w.Close(); err != nil {
		return nil, err // unreachable, as above
	}
	return out.Bytes(), nil
}

// inflate returns what deflate compressed, and never more than maxPacked.
func (p *packer) inflate(packed []byte) ([]byte, error) {
	in := bytes.NewReader(packed)
	r, ok := p.readers.Get().(io.ReadCloser)
	if !ok {
		r = flate.NewReaderDict(in, dictionary)
	} else if err := r.(flate.Resetter).Reset(in, dictionary); err != nil {
		return nil, err
	}
	defer p.readers.Put(r)
	var out bytes.Buffer
	out.Grow(min(4*len(packed), maxPacked))
	if _, err := io.Copy(&out, io.LimitReader(r, maxPacked+1)); err != nil {
		return nil, errPacked
	}
	if out.Len() > maxPacked || in.Len() > 0 {
		return nil, errPacked
	}
	return out.Bytes(), nil
}
