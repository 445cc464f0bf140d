package predicate

import (
	"encoding/json"
	"time"
)

// Why a model was deployed.
const (
	DeployPromote  = "promote"
	DeployRollback = "rollback"
	DeployHotfix   = "hotfix"
)

func deploymentTable() []Field {
	return []Field{
		required(text("environment", "where it runs now, as policies and approvals name it")),
		required(moment("deployedAt", "when: the claimed time")),
		object("target", "where exactly",
			text("cluster", "the cluster"),
			text("service", "the service"),
			text("endpoint", "the address it answers at")),
		list("loaded", "the files as they were loaded", object("", "",
			text("name", "the file's path"),
			required(digests("digest", "SHA-256 of the bytes that were loaded")))),
		statementRef("decision", "the verdict or approval it was done on"),
		statementRef("previous", "the deployment before this one in the same place"),
		object("observer", "who or what saw it run", required(text("id", "a URI or name"))),
		oneOf(text("reason", "why"), DeployPromote, DeployRollback, DeployHotfix),
		mapOf("config", "settings it was deployed with; never a secret", Field{Kind: Any}),
	}
}

// statementRef names one statement and where it is: a payload's digest alone
// would be something that nobody can look up.
func statementRef(name, doc string) Field {
	return object(name, doc,
		required(digests("payload", "the statement: SHA-256 of its bytes")),
		required(digests("artifact", "the artifact it is attached to")))
}

func (f *Facts) deployment() error {
	for _, name := range []string{"decision", "previous"} {
		if ref, ok := f.Tree[name].(map[string]any); ok {
			if err := bytesOnly((*path)(nil).field(name).field("payload"), digestAt(ref, "payload")); err != nil {
				return err
			}
		}
	}
	seen := map[string]bool{}
	for i, item := range at[[]any](f.Tree, "loaded") {
		entry, _ := item.(map[string]any)
		p := (*path)(nil).field("loaded").index(i)
		if err := bytesOnly(p.field("digest"), digestAt(entry, "digest")); err != nil {
			return err
		}
		name := at[string](entry, "name")
		if name != "" && seen[name] {
			return schema(p.field("name"), "is a second file of that name")
		}
		seen[name] = true
	}
	return nil
}

// A Deployment is the predicate TypeDeployment, for writing;
// docs/format/deployment.md has the rules.
type Deployment struct {
	Environment string            `json:"environment"`
	DeployedAt  time.Time         `json:"deployedAt"` // the claimed time
	Target      *DeploymentTarget `json:"target,omitempty"`
	Loaded      []LoadedFile      `json:"loaded,omitempty"`
	Decision    *StatementRef     `json:"decision,omitempty"`
	Previous    *StatementRef     `json:"previous,omitempty"`
	Observer    *Observer         `json:"observer,omitempty"`
	Reason      string            `json:"reason,omitempty"` // one of the Deploy… constants
	Config      map[string]any    `json:"config,omitempty"`
}

// A DeploymentTarget is where exactly something was deployed.
type DeploymentTarget struct {
	Cluster  string `json:"cluster,omitempty"`
	Service  string `json:"service,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// A LoadedFile is one file as it was loaded.
type LoadedFile struct {
	Name   string    `json:"name,omitempty"`
	Digest DigestSet `json:"digest"`
}

// A StatementRef names a statement and the artifact it is attached to.
type StatementRef struct {
	Payload  DigestSet `json:"payload"`
	Artifact DigestSet `json:"artifact"`
}

// An Observer is who or what saw a deployment run.
type Observer struct {
	ID string `json:"id"`
}

// MarshalJSON writes times in UTC.
func (d Deployment) MarshalJSON() ([]byte, error) {
	type plain Deployment
	d.DeployedAt = d.DeployedAt.UTC()
	return json.Marshal(plain(d))
}
