package admit

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// Look says what would become of everything that an object names if it were made anew in
// a namespace ("" for none), by whoever is nobody: exemptions that ask for a user or a
// group don't count. It is for what runs already, and for trying a configuration.
//
// An object that is exempted, or names nothing, gives nothing. What cannot be looked at,
// or is governed by no rule, gives one Seen without a place, refused, with Err.
func (a *Admitter) Look(ctx context.Context, g *gate.Grounds, obj map[string]any, gvk schema.GroupVersionKind, namespace string) []Seen {
	if g == nil || g.Config == nil {
		return []Seen{failed(nil, malformed("there is nothing to answer by"))}
	}
	o := &object{content: obj, gvk: gvk, namespace: namespace}
	if o.isNamespace() || exempt(g.Config.Exempt, caller{}, scope(namespace), gvk) != nil {
		return nil
	}
	rule, ok := Govern(g.Config, namespace)
	if !ok {
		return []Seen{failed(nil, ungoverned(namespace))}
	}
	seen, err := a.look(ctx, g, rule, o, nil, false)
	if err != nil {
		return append(seen, failed(rule, err))
	}
	return seen
}

// failed is what is seen of an object that cannot be looked at.
func failed(rule *gate.Rule, err error) Seen {
	s := Seen{Rule: rule}
	s.refuse(err)
	return s
}

// look finds what obj names and has it judged as rule says. An error refuses the object as
// a whole. Without req nothing stood there before.
func (a *Admitter) look(ctx context.Context, g *gate.Grounds, rule *gate.Rule, obj *object, req *admissionv1.AdmissionRequest, mutate bool) ([]Seen, error) {
	table, err := a.table(g.Config)
	if err != nil {
		return nil, err
	}
	options := place.Options{Environments: rule.Environments, Annotations: rule.Annotations}
	found, known, err := table.Find(obj.content, obj.gvk, options)
	if err != nil {
		return nil, err
	}
	var old *object
	if req != nil {
		old = previous(obj, req)
	}
	if !known {
		return unreadKind(rule, obj, old, mutate), nil
	}
	before := stood(table, old, options)
	w := &weighing{grounds: g, rule: rule, mutate: mutate}
	seen := make([]Seen, len(found))
	for i, f := range found {
		seen[i] = Seen{Found: f, Rule: rule}
		if kept(before, f) {
			seen[i].Standing = Kept
			continue
		}
		w.plan(&seen[i])
	}
	if most := g.Config.Limits.References; len(w.order) > most {
		return nil, &attest.Refusal{Code: attest.CodeLimit, About: obj.name, Why: tooMany(len(w.order), most),
			Next: "deploy it as several objects, or raise limits.references"}
	}
	a.ask(ctx, w)
	for i := range seen {
		w.conclude(&seen[i])
	}
	return seen, nil
}

// unreadKind is what is seen of an object of a kind that the gate cannot read.
func unreadKind(rule *gate.Rule, obj, old *object, mutate bool) []Seen {
	s := Seen{Rule: rule, Found: place.Found{Text: kindName(obj.gvk)}}
	switch {
	case mutate:
		s.Standing = Left
	case sameContent(old, obj):
		s.Standing = Kept
	default:
		unrecognised(&s, unknownKind(obj.gvk))
	}
	return []Seen{s}
}

// unrecognised does with s what its rule does with what cannot be recognised.
func unrecognised(s *Seen, err error) {
	if s.Rule.Unrecognised == gate.Report {
		s.Standing, s.Err = Reported, err
		return
	}
	s.refuse(err)
}
