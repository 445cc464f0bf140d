package lineage

import (
	"context"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/verify"
)

// DeployedState says of what runs somewhere, file by file, whether it is the artifact
// that was asked about, and who approved that.
type DeployedState struct {
	Reference string        `json:"reference,omitempty"` // how the caller named the artifact
	Artifact  attest.Digest `json:"artifact"`
	// Place is where what runs was found: a folder, or a reference.
	Place string `json:"place"`
	// Running is the artifact that the reference names now; zero of a folder.
	Running attest.Digest `json:"running,omitzero"`
	// Matches is true if it is the artifact: every file, and for a reference the
	// manifest too.
	Matches bool           `json:"matches"`
	Counts  DeployedCounts `json:"counts"`
	Files   []DeployedFile `json:"files"` // by path
	Trust   Trust          `json:"trust"`
	Why     []string       `json:"why,omitempty"` // the policy's reasons, if it does not allow the artifact
	// Decisions are the approvals and rejections of the artifact that were found.
	Decisions []Decided `json:"decisions"`
	Records   []Record  `json:"records"`
	Gaps      []Gap     `json:"gaps"`
}

// DeployedCounts count files.
type DeployedCounts struct {
	Same    int `json:"same"`
	Changed int `json:"changed"`
	Missing int `json:"missing"`
	Extra   int `json:"extra"`
}

// How a deployed file stands to the artifact's, besides HowChanged.
const (
	HowSame    How = "same"
	HowMissing How = "missing" // the artifact has it, the place does not
	HowExtra   How = "extra"   // the place has it, the artifact does not
)

// A DeployedFile is one file of the artifact, of the place, or of both.
type DeployedFile struct {
	How  How       `json:"how"`
	Path string    `json:"path"`
	Want *FileSeen `json:"want,omitempty"` // the artifact's
	Got  *FileSeen `json:"got,omitempty"`  // the place's
	// Known says where else the bytes are known from, if they are not the artifact's.
	Known []KnownFile `json:"known,omitempty"`
	Rows  *RowsChange `json:"rows,omitempty"` // from the artifact's to the place's
}

// A KnownFile is a file of an artifact that has the same bytes.
type KnownFile struct {
	Artifact attest.Digest `json:"artifact"`
	// Path in the artifact; "" if the artifact is this one file.
	Path string `json:"path,omitempty"`
	// Tags name the artifact, where it was found in a repository.
	Tags []string `json:"tags,omitempty"`
	// Chain is true if the artifact is in the chain of the one that was asked about.
	Chain bool `json:"chain"`
}

// Decided is a decision with who made it.
type Decided struct {
	Signer string `json:"signer"`
	Role   string `json:"role,omitempty"`
	ApprovalSeen
}

// DeployedOptions say how what runs is compared.
type DeployedOptions struct {
	Reading
	SideOptions
	Place   string
	Running attest.Digest
	// Elsewhere returns where else than in the chain bytes are known from; nil if
	// nobody knows. An error becomes a gap: what was found before it counts.
	Elsewhere func(ctx context.Context, bytes []attest.Digest) (map[attest.Digest][]KnownFile, error)
	// Content is as DiffOptions.Content.
	Content func(ctx context.Context, f attest.File) ([]byte, error)
}

// CompareDeployed compares the files of the chain's artifact with those that were
// found somewhere; want and got have each path once. The error is that of ctx, or
// E_USAGE for a zero chain.
func CompareDeployed(ctx context.Context, c verify.Chain, want, got []attest.File, o DeployedOptions) (*DeployedState, error) {
	if c.Root().IsZero() {
		return nil, attest.Refuse(attest.CodeUsage, "a chain without a root has no files")
	}
	d := &differ{a: newHalf(c, o.SideOptions), o: DiffOptions{Reading: o.Reading, Content: o.Content}, records: map[recordKey]int{}, gaps: map[Gap]bool{}, out: &Difference{Records: []Record{}}}
	out := &DeployedState{Reference: o.Reference, Artifact: c.Root(), Place: o.Place, Running: o.Running, Trust: o.Trust, Why: o.Why, Files: []DeployedFile{}, Decisions: []Decided{}}
	if err := out.compare(ctx, d, byPath(want), byPath(got)); err != nil {
		return nil, err
	}
	if err := out.recognise(ctx, d, o); err != nil {
		return nil, err
	}
	s := d.evidence(c.Artifact(c.Root()))
	list := slices.Clone(s.approvals)
	slices.SortStableFunc(list, byClaim)
	for _, e := range list {
		facts, _ := e.Facts()
		out.Decisions = append(out.Decisions, Decided{d.o.name(e.ID().Credential), facts.Role, d.decision(&d.a, e)})
	}
	n := out.Counts
	out.Matches = n.Changed+n.Missing+n.Extra == 0 && n.Same > 0
	if !o.Running.IsZero() {
		out.Matches = o.Running == c.Root() && n.Changed+n.Missing+n.Extra == 0
	}
	out.Records = d.out.Records
	out.Gaps = gapsOf(c)
	for g := range d.gaps {
		out.Gaps = append(out.Gaps, g)
	}
	out.Gaps = sortGaps(out.Gaps)
	return out, nil
}

// compare goes through the files of both.
func (out *DeployedState) compare(ctx context.Context, d *differ, want, got map[string]attest.File) error {
	for _, p := range sortedPaths(want) {
		w := want[p]
		f := DeployedFile{Path: p, Want: fileSeen(w)}
		g, ok := got[p]
		switch {
		case !ok:
			f.How = HowMissing
			out.Counts.Missing++
		case g.Digest == w.Digest:
			f.How, f.Got = HowSame, fileSeen(g)
			out.Counts.Same++
		default:
			f.How, f.Got = HowChanged, fileSeen(g)
			out.Counts.Changed++
			var err error
			if f.Rows, err = d.rows(ctx, w, g); err != nil {
				return err
			}
		}
		out.Files = append(out.Files, f)
	}
	for _, p := range sortedPaths(got) {
		if _, ok := want[p]; !ok {
			out.Files = append(out.Files, DeployedFile{How: HowExtra, Path: p, Got: fileSeen(got[p])})
			out.Counts.Extra++
		}
	}
	slices.SortFunc(out.Files, func(a, b DeployedFile) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// maxKnown is in how many places one file is said to be known from.
const maxKnown = 20

// recognise looks where bytes that are not the artifact's are known from: in its
// own chain first.
func (out *DeployedState) recognise(ctx context.Context, d *differ, o DeployedOptions) error {
	known := map[attest.Digest][]KnownFile{}
	for _, f := range out.Files {
		if f.How == HowChanged || f.How == HowExtra {
			known[f.Got.Digest] = nil
		}
	}
	if len(known) == 0 {
		return nil
	}
	for _, digest := range d.a.chain.Artifacts() {
		if _, asked := known[digest]; asked {
			known[digest] = append(known[digest], KnownFile{Artifact: digest, Chain: true})
		}
		for _, f := range d.a.chain.Artifact(digest).Files {
			if _, asked := known[f.Digest]; asked {
				known[f.Digest] = append(known[f.Digest], KnownFile{Artifact: digest, Path: f.Path, Chain: true})
			}
		}
	}
	if o.Elsewhere != nil {
		var ask []attest.Digest
		for digest := range known {
			ask = append(ask, digest)
		}
		slices.SortFunc(ask, attest.Digest.Compare)
		more, err := o.Elsewhere(ctx, ask)
		if ctx.Err() != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, Why: "the comparison was stopped", Err: ctx.Err()}
		}
		if err != nil {
			code := attest.RefusalCode(err)
			if code == "" {
				code = attest.CodeRegUnavailable
			}
			d.gap(attest.Digest{}, code)
		}
		for digest, list := range more {
			if _, asked := known[digest]; asked {
				known[digest] = merge(known[digest], list)
			}
		}
	}
	for i := range out.Files {
		if f := &out.Files[i]; f.How == HowChanged || f.How == HowExtra {
			list := known[f.Got.Digest]
			slices.SortStableFunc(list, KnownFile.compare)
			f.Known = list[:min(len(list), maxKnown)]
		}
	}
	return nil
}

// merge adds to what is known from the chain what was found elsewhere.
func merge(chain, more []KnownFile) []KnownFile {
	for _, k := range more {
		i := slices.IndexFunc(chain, func(c KnownFile) bool { return c.Artifact == k.Artifact && c.Path == k.Path })
		if i < 0 {
			chain = append(chain, k)
		} else {
			chain[i].Tags = k.Tags
		}
	}
	return chain
}

// compare puts first what has a name, then what is nearest.
func (k KnownFile) compare(l KnownFile) int {
	rank := func(k KnownFile) int {
		switch {
		case len(k.Tags) > 0:
			return 0
		case k.Chain:
			return 1
		}
		return 2
	}
	if d := rank(k) - rank(l); d != 0 {
		return d
	}
	if d := k.Artifact.Compare(l.Artifact); d != 0 {
		return d
	}
	return strings.Compare(k.Path, l.Path)
}
