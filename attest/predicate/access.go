package predicate

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
)

// What kind of principal a grant is for.
const (
	AccessHuman   = "human"
	AccessService = "service"
	AccessAgent   = "agent"
)

// MaxDelegations is how many grants may be delegated from each other in a row.
// Real chains have two or three: a platform, an orchestrator, what that starts.
const MaxDelegations = 16

// maxAccessName bounds each name, path and scope of a grant: the longest path that
// a file system takes is 4,096 bytes, and nobody reads names of a quarter of that.
const maxAccessName = 1024

func accessTable() []Field {
	name := required(text("", "")) // of a list: an empty name names nothing
	return []Field{
		required(closed(object("principal", "who may",
			required(text("id", "a SPIFFE id, an OIDC issuer and subject with a space between, or `key:sha256:…`")),
			required(oneOf(text("kind", "what it is"), AccessHuman, AccessService, AccessAgent))))),
		list("tools", "the tools it may call; missing: none", closed(object("", "",
			required(text("name", "the tool's name")),
			digests("digest", "SHA-256 of the tool's schema; missing: whatever its schema"),
			list("operations", "what it may have the tool do; missing: everything", name)))),
		list("secrets", "the names of the secrets it may read, never a value; missing: none", closed(object("", "",
			required(text("name", "the secret's name")),
			text("store", "where it is kept; missing: wherever"),
			text("version", "its version; missing: each")))),
		list("executionPaths", "what it may run, and all below; missing: nothing", name),
		list("dataScopes", "what data it may reach, and all below; missing: none", name),
		moment("notBefore", "since when; missing: since `grantedAt`"),
		required(moment("notAfter", "until when, that moment not included; after `notBefore` and `grantedAt`")),
		required(moment("grantedAt", "when: the claimed time")),
		closed(object("delegation", "the grant that this one gives on",
			required(closed(statementRef("from", "the parent grant"))))),
		count("mayDelegate", "how many further levels it may be given on; missing: 0, not at all"),
		text("reason", "why, for people"),
	}
}

// AccessFacts is what a grant gives, to whom, and for how long.
type AccessFacts struct {
	Principal     string
	PrincipalKind string // one of the Access… constants
	Reach
	NotBefore   time.Time // zero: it does not say
	NotAfter    time.Time
	GrantedAt   time.Time
	Parent      Basis // the grant that it gives on; zero: none
	MayDelegate int64
	Reason      string
}

// From returns since when the grant gives anything: not before it was granted,
// whatever else it says.
func (a *AccessFacts) From() time.Time {
	if a.NotBefore.After(a.GrantedAt) {
		return a.NotBefore
	}
	return a.GrantedAt
}

// access takes the facts of a grant from the tree.
func (f *Facts) access() error {
	a := &AccessFacts{
		Principal:     at[string](f.Tree, "principal", "id"),
		PrincipalKind: at[string](f.Tree, "principal", "kind"),
		NotBefore:     at[time.Time](f.Tree, "notBefore"),
		NotAfter:      at[time.Time](f.Tree, "notAfter"),
		GrantedAt:     f.Claimed,
		MayDelegate:   at[int64](f.Tree, "mayDelegate"),
		Reason:        at[string](f.Tree, "reason"),
	}
	p := (*path)(nil)
	if name, isKey := strings.CutPrefix(a.Principal, "key:"); isKey {
		if d, err := attest.ParseDigest(name); err != nil || d.IsCommit() {
			return schema(p.field("principal").field("id"), "%.80q is not key:sha256:… with the SHA-256 of a public key", a.Principal)
		}
	}
	if !a.NotAfter.After(a.From()) {
		return schema(p.field("notAfter"), "is not after notBefore and grantedAt: the grant would never hold")
	}
	if a.MayDelegate > MaxDelegations {
		return schema(p.field("mayDelegate"), "is %d; no more than %d grants in a row are followed", a.MayDelegate, MaxDelegations)
	}
	if ref, ok := at[map[string]any](f.Tree, "delegation")["from"].(map[string]any); ok {
		a.Parent = Basis{Payload: digestAt(ref, "payload"), Artifact: digestAt(ref, "artifact")}
		if err := bytesOnly(p.field("delegation").field("from").field("payload"), a.Parent.Payload); err != nil {
			return err
		}
	}
	if err := a.Reach.read(f.Tree); err != nil {
		return err
	}
	f.Access = a
	return nil
}

// skew is how far two honest clocks may differ, as package policy has it.
const skew = 5 * time.Minute

// Within returns why a grant is more than the grant that it was delegated from, and
// nil if it is not: everything that it gives is given by the parent, in a window
// within the parent's, at a time when the parent held, with fewer levels left.
// Whose signature it has, and whether the parent holds, is for others to check.
// The error is E_DELEGATION and names what exceeds.
func (a *AccessFacts) Within(parent *AccessFacts) error {
	over := a.Beyond(parent.Reach)
	if from := parent.From(); a.From().Before(from) {
		over = append(over, fmt.Sprintf("it begins %s, before %s", stamp(a.From()), stamp(from)))
	}
	if a.NotAfter.After(parent.NotAfter) {
		over = append(over, fmt.Sprintf("it ends %s, after %s", stamp(a.NotAfter), stamp(parent.NotAfter)))
	}
	// Nobody gives on what they do not have yet. That they do not have it any more
	// follows from the windows: a grant ends after it was granted.
	if a.GrantedAt.Before(parent.From().Add(-skew)) {
		over = append(over, fmt.Sprintf("it was granted %s, when the parent did not hold yet", stamp(a.GrantedAt)))
	}
	if a.MayDelegate >= parent.MayDelegate {
		switch parent.MayDelegate {
		case 0:
			over = append(over, "the parent may not be given on")
		default:
			over = append(over, fmt.Sprintf("mayDelegate is %d, and must be less than %d", a.MayDelegate, parent.MayDelegate))
		}
	}
	if len(over) == 0 {
		return nil
	}
	return &attest.Refusal{Code: attest.CodeDelegation, About: a.Parent.Payload.String(), Why: "more is given on than was given: " + Excess(over),
		Next: "grant no more than the parent grant has, for no longer"}
}

// maxExcess is how many excesses a message names: the first few say what to do.
const maxExcess = 8

// Excess writes what Beyond returned as one clause, shortened.
func Excess(over []string) string {
	more := ""
	if n := len(over) - maxExcess; n > 0 {
		over, more = over[:maxExcess], fmt.Sprintf("; and %d more", n)
	}
	return strings.Join(over, "; ") + more
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// An Access is the predicate TypeAccess, for writing; docs/format/access.md has the
// rules.
type Access struct {
	Principal   AccessPrincipal `json:"principal"`
	Reach                       // tools, secrets, executionPaths, dataScopes
	NotBefore   time.Time       `json:"notBefore,omitzero"` // zero: from GrantedAt
	NotAfter    time.Time       `json:"notAfter"`
	GrantedAt   time.Time       `json:"grantedAt"` // the claimed time
	Delegation  *Delegation     `json:"delegation,omitempty"`
	MayDelegate int64           `json:"mayDelegate,omitempty"`
	Reason      string          `json:"reason,omitempty"`
}

// An AccessPrincipal is who a grant is for.
type AccessPrincipal struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // one of the Access… constants
}

// A Delegation says which grant is given on.
type Delegation struct {
	From StatementRef `json:"from"`
}

// MarshalJSON writes times in UTC.
func (a Access) MarshalJSON() ([]byte, error) {
	type plain Access
	a.NotBefore = a.NotBefore.UTC()
	a.NotAfter = a.NotAfter.UTC()
	a.GrantedAt = a.GrantedAt.UTC()
	return json.Marshal(plain(a))
}
