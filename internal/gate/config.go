package gate

import (
	"time"
)

// A Config is what a gate is told: strict YAML, loaded by package config, whose defaults
// are filled in. It is never changed after it was loaded.
type Config struct {
	Name   string // metadata.name: what the gate calls itself in records and answers
	Digest string // sha256:… of the file
	Listen Listen
	Limits Limits
	// Registry is what may be asked at all. Objects name repositories, and tenants write
	// objects: a gate that asked whatever it is told to ask would be a way into the
	// network it stands in.
	Registry Registry
	Policies []PolicySource
	Rules    []Rule
	// Exempt lists who or what is not asked about. It is in this file and nowhere else:
	// an exemption that could be written on an object is one that tenants write.
	Exempt   []Exemption
	Kinds    []Kind         // custom resources that name models, beside those known by default
	Labels   NamespaceGuard // of namespaces, who may change which
	Cache    Cache
	State    string // the folder in which sequence numbers are remembered; "" for none
	Records  *Records
	Cluster  string // the cluster's name, in records and reports
	Warnings []string
}

// Listen says where the gate is asked.
type Listen struct {
	Address string // HOST:PORT of the service
	Metrics string // HOST:PORT of /metrics; "" for none
	// Certificate and Key are PEM files, read again when they change. Without them the
	// gate speaks plain HTTP, and only on loopback.
	Certificate, Key string
	// ClientCA are PEM certificates; with it only clients that one of them vouches for
	// are heard. ClientNames are the names that such a client may have; empty: any.
	ClientCA    string
	ClientNames []string
	// Drain is how long the gate goes on answering after it was told to stop, not ready
	// any more, so that whoever routes to it stops first; 0 means 5s, less than 0 none.
	Drain time.Duration
}

// Limits bound what clients can make the gate do.
type Limits struct {
	Deadline    time.Duration // of one question; default 9s, less than the API server's 10s
	Body        int64         // bytes of a request's body; default 7 MiB (what etcd holds is at most 1.5 MiB; a review has it twice)
	Concurrent  int           // questions that are worked on at once
	Waiting     int           // questions that wait for their turn
	PerTenant   int           // of these, of one namespace or client; default a quarter
	References  int           // references in one object; default 64
	Connections int
}

// Registry says what the gate may ask.
type Registry struct {
	// Repositories are patterns of repositories that may be asked for artifacts: HOST/PATH,
	// HOST/PATH/* (one level) or HOST/PATH/** (all below), or ocidir://FOLDER.
	Repositories []string
	Jobs         int // requests at once to one registry
}

// PolicySource names a policy, and whom it is asked under.
type PolicySource struct {
	Name       string
	Policy     string   // a file, or a reference to a signed one
	Roots      string   // the file of root keys; "" for none
	Trust      string   // the trust file; "" for none
	TrustCache string   // where what it fetches by TUF is kept
	Evidence   []string // further repositories to look in
	Refresh    time.Duration
}

// A Mode is what a rule does with what it would refuse. The zero Mode refuses.
type Mode uint8

// The modes.
const (
	Enforce Mode = iota // refuse
	Warn                // let in, and warn who asked
	Audit               // let in, and only write it down
)

// String returns enforce, warn or audit.
func (m Mode) String() string {
	switch m {
	case Warn:
		return "warn"
	case Audit:
		return "audit"
	}
	return "enforce"
}

// ClusterScope is the name under which rules and exemptions speak of objects that are in no
// namespace, such as a ClusterServingRuntime. No namespace can be called so; the pattern *
// matches it as it matches every namespace.
const ClusterScope = "(cluster)"

// A Rule says what holds in some namespaces. The first rule that names a namespace
// governs it; one that no rule names is refused, because a gate that is asked about it
// was meant to govern it, unless a rule for "*" says otherwise.
type Rule struct {
	Name       string
	Namespaces []string // names, or patterns with * for any characters; or ClusterScope
	Mode       Mode
	// Artifacts are asked in order: the first line that matches a reference decides.
	Artifacts []ArtifactLine
	// Unrecognised is what is done with what no line matches, with what names no
	// artifact by digest (s3://…), and with kinds of objects that the gate cannot read.
	Unrecognised Unrecognised
	// Pin says that tags are replaced by the digest that was judged. Without it, a tag is
	// refused where something is run from it.
	Pin bool
	// Places adds to, or takes from, the places that are looked at in objects.
	Environments []string // names of environment variables that hold references
	Annotations  []string // names of annotations that hold references
	Environment  string   // how deployment records call it; "" for no records
}

// Unrecognised is what is done with a reference that cannot be recognised. Its zero
// refuses.
type Unrecognised uint8

// What is done with what cannot be recognised.
const (
	Refuse Unrecognised = iota
	Report              // let in, with a warning and a line in the log
)

// An ArtifactLine says who judges references to some repositories.
type ArtifactLine struct {
	// Repositories are patterns as in Registry; URIs are prefixes of what is no reference
	// to a registry, such as s3://acme-models/. A line has one of the two.
	Repositories []string
	URIs         []string
	Policy       string // the name of one of Config.Policies
	Context      string
	// Accept lets it in without a verdict, for Reason; with URIs there is nothing else.
	Accept bool
	Reason string
}

// An Exemption lets something in without a verdict. All its conditions must hold, and
// it has at least one.
type Exemption struct {
	Namespaces []string
	Users      []string // names of users, or system:serviceaccount:NAMESPACE:NAME
	Groups     []string
	Kinds      []string // GROUP/KIND; "/Pod" for the core group
	Reason     string
}

// A Kind is a custom resource that names models.
type Kind struct {
	Group, Kind string
	Versions    []string // empty: all
	Places      []CustomPlace
	// PodTemplates are JSONPaths of pod templates in it, looked at as pods are.
	PodTemplates []string
}

// A CustomPlace is where references stand in a custom resource. It has one of the two
// expressions.
type CustomPlace struct {
	Name string
	// JSONPath (RFC 9535) selects the texts; what it selects can be pinned.
	JSONPath string
	// CEL is an expression over object that gives a text or a list of texts; what it
	// gives cannot be pinned, so a tag there is refused.
	CEL string
}

// NamespaceGuard says who may change which labels of namespaces: what a webhook's
// namespaceSelector looks at must not be in tenants' hands.
type NamespaceGuard struct {
	Labels []string // keys, or PREFIX/*
	Users  []string
	Groups []string
}

// Cache bounds what is remembered, and for how long.
type Cache struct {
	Allow   time.Duration // the longest that an ALLOW is remembered; default 60s
	Deny    time.Duration // a DENY or UNDECIDED; default 5s
	Entries int           // default 10,000
	Bytes   int64         // default 64 MiB
}

// AcknowledgedAbsence is the longest that an ALLOW is remembered which rests on the
// policy's word that nothing was taken away.
const AcknowledgedAbsence = 60 * time.Second

// Records says how admissions are recorded.
type Records struct {
	Queue   string            // the folder of the queue
	Limit   int               // records that wait; default 10,000
	Full    string            // refuse (the default) or drop what is admitted when the queue is full
	Signing map[string]string // the signing flags of the command line, by name: key, spiffe, …
}
