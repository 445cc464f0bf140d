package policy

import "slices"

// access looks at what may be granted.
func (l *linter) access() {
	v := l.d.access
	if v == nil {
		return
	}
	if v.acknowledge != "" && l.d.status != nil {
		l.warn(l.in.key("access", "acknowledgeAbsence"), "status-waived", "remove acknowledgeAbsence: the status shows whether something was removed",
			"access acknowledges absence, so it passes without the status that the policy asks for")
	}
	if len(l.d.revocation) == 0 {
		l.advise(l.in.key("access"), "no-revocation", "say who may take a grant back before it ends: revocation",
			"under this policy nobody can take a grant back, not even who made it")
	}
	for _, t := range v.bound.Tools {
		if len(t.Operations) == 0 {
			l.advise(l.in.key("access", "tools", t.Name), "any-operation", "list the operations that are needed", "the tool %s may be had to do everything that it can do", t.Name)
		}
	}
	for _, list := range []struct {
		key    string
		places []string
	}{{"executionPaths", v.bound.ExecutionPaths}, {"dataScopes", v.bound.DataScopes}} {
		if i := slices.Index(list.places, "/"); i >= 0 {
			_, n := field(l.in.root, "access")
			_, n = field(n, list.key)
			l.warn(l.in.element(n, i, v.pos), "wide-access", "name the folders that are needed", "everything that begins with / may be granted (%s)", list.key)
		}
	}
}
