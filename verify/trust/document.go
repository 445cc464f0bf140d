package trust

import (
	"crypto/x509"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
)

// The first two lines of every trust file.
const (
	apiVersion = "pedigree-ml.github.io/v1"
	kindTrust  = "Trust"
)

const (
	// maxFile bounds a trust file and each file that it names. Sigstore's own trusted
	// root, the largest known, has 7 kB.
	maxFile = 1 << 20

	// maxParts bounds each list of a trust file, and of a trusted root. An
	// organisation has a handful of instances and domains; a signature is held
	// against each in turn, so the list is also a cost.
	maxParts = 64

	// maxKeys bounds the list of keys. It is looked up in, not searched.
	maxKeys = 4096
)

// A document is a trust file that was read and not yet made into a Trust.
type document struct {
	name        string
	version     int
	description string
	expires     time.Time

	instances   []*instanceEntry
	authorities []*authorityEntry // for what plain keys and SVIDs sign
	made        []*authority      // the same, told apart; set once everything was read
	timestamps  int               // how many of the authorities must agree
	domains     []*domainEntry
	keys        []*keyEntry
	sources     []*sourceEntry
	pos         *yaml.Node

	timestampsPos *yaml.Node // nil if the file does not say
}

// An instanceEntry is one Sigstore instance.
type instanceEntry struct {
	name   string
	file   string       // trustedRoot, as written
	source *sourceEntry // or where it is fetched from
	root   []byte       // trusted_root.json
	// need is how many of each the instance asks for, as written; and why none.
	need              thresholds
	noLogs            string
	noCertificateLogs string

	parts []Part
	made  *instance
	pos   *yaml.Node
}

// An authorityEntry is a timestamp authority.
type authorityEntry struct {
	name  string
	file  string
	chain []*x509.Certificate // leaf first, root last
	window
	pos *yaml.Node
}

// A domainEntry is a SPIFFE trust domain.
type domainEntry struct {
	domain       string
	file         string
	certificates []*x509.Certificate
	window
	pos *yaml.Node
}

// A keyEntry says when a key counts, whatever a policy says.
type keyEntry struct {
	file string
	key  attest.PublicKey
	window
	compromised time.Time
	pos         *yaml.Node
}

// A sourceEntry is a TUF repository that a trusted root comes from.
type sourceEntry struct {
	TUFSource
	file string // of the initial root
	used bool
	got  TUFTarget
	pos  *yaml.Node
}

// A TUFSource is a TUF repository with one target in it that is a trusted root. The
// initial root is what makes the repository's answers believable, so it is in a file
// beside the trust file and never fetched.
type TUFSource struct {
	Name   string
	URL    string // where the metadata is; targets are below targets/
	Root   []byte // root.json to begin with, as its owner handed it out
	Target string // the target's name, a path with slashes
}

// A TUFTarget is what a TUF repository said, verified from the source's root.
type TUFTarget struct {
	Content []byte
	// Expires is when the first of the roles ends that lead to the target: whoever
	// believes it later may have missed what was taken back.
	Expires time.Time
}
