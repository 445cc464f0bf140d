// Package admit decides what a Kubernetes API server asks: it takes an AdmissionReview
// and gives an AdmissionResponse.
//
// [Decode] reads a review that has one reading. [Admitter.Review] then goes, in this
// order, and stops at the first that decides:
//
//  1. A request that contradicts itself, or whose object is null, is refused in every
//     mode. DELETE is let in: nothing runs by it.
//  2. A namespace is not judged. Its guarded labels are, see [gate.NamespaceGuard], in
//     every mode and whatever is exempted: they say what is asked about at all.
//  3. What an exemption names is let in. Its conditions are about the request alone.
//  4. [Govern] finds the rule. What no rule governs is refused.
//  5. What the object names is found (package place). A reference that stood there before,
//     in the same object, is not asked about again: see compare.
//  6. Each other reference is claimed by the first line of the rule that matches it, and
//     judged as that line says. The object's outcome is the least of its references'.
//  7. The rule's mode says what a refusal does.
//
// A subresource is nothing special: the kind of the object that comes with it decides. A
// Scale or an Eviction names nothing; pods/ephemeralcontainers, pods/resize and every
// .../status bring the whole object, whose annotations may change by any of them.
//
// # Two hooks
//
// The mutating hook replaces tags by the digest that was judged, and refuses nothing that
// can be read: what it could not pin it leaves, and the validating hook, which sees the
// object as it will be stored, refuses a tag from which something runs. So an object on
// which the mutation failed, or that another webhook changed after it, is refused.
package admit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// Options say what an Admitter works with.
type Options struct {
	Judge    gate.Judge
	Recorder gate.Recorder // nil: nothing is recorded
	// Observe is told of every decision, once, before the answer is given. It must not
	// block. Nil: nobody is.
	Observe func(Decision)
	Now     func() time.Time
	Log     *slog.Logger // hears of every decision in one line, and of panics
}

// An Admitter answers reviews. It is safe for concurrent use.
type Admitter struct {
	judge    gate.Judge
	recorder gate.Recorder
	observe  func(Decision)
	now      func() time.Time
	log      *slog.Logger
	counters counters
	tables   atomic.Pointer[tables]
}

// New makes an Admitter. Judge, Now and Log are required.
func New(o Options) *Admitter {
	a := &Admitter{judge: o.Judge, recorder: o.Recorder, observe: o.Observe, now: o.Now, log: o.Log, counters: newCounters()}
	if a.observe == nil {
		a.observe = func(Decision) {}
	}
	return a
}

// tables is the table of the kinds that one configuration names.
type tables struct {
	of    *gate.Config
	table *place.Table
	err   error
}

// table returns the kinds of a configuration. The last one is kept: compiling
// expressions takes longer than most answers. Who still answers under an older
// configuration while it is replaced compiles them again, and gets the same.
func (a *Admitter) table(c *gate.Config) (*place.Table, error) {
	t := a.tables.Load()
	if t == nil || t.of != c {
		t = &tables{of: c}
		t.table, t.err = place.New(c.Kinds)
		a.tables.Store(t)
	}
	return t.table, t.err
}

// Review answers one request under g. With mutate it is the mutating hook's. The answer
// is never nil, and comes before ctx ends by more than a moment.
func (a *Admitter) Review(ctx context.Context, g *gate.Grounds, req *admissionv1.AdmissionRequest, mutate bool) *admissionv1.AdmissionResponse {
	started := a.now()
	c := a.consider(ctx, g, req, mutate)
	if c.allowed() && !mutate {
		a.record(g, c)
	}
	d := c.decision()
	d.Duration = a.now().Sub(started)
	a.counters.count(d, c.seen)
	a.log.LogAttrs(ctx, d.Level(), "decision", d.Attrs()...)
	a.observe(d)
	return c.response()
}

// consider works out everything that an answer says. It is the order of the package's
// comment.
func (a *Admitter) consider(ctx context.Context, g *gate.Grounds, req *admissionv1.AdmissionRequest, mutate bool) *considered {
	c := &considered{mutate: mutate}
	if req == nil || g == nil || g.Config == nil {
		return c.refuse(malformed("there is nothing to answer, or nothing to answer by"))
	}
	c.request = req
	obj, err := readRequest(req)
	if err != nil {
		return c.refuse(err)
	}
	if req.Operation == admissionv1.Delete {
		return c.letIn("nothing runs by a DELETE")
	}
	c.object = obj
	if obj.isNamespace() {
		if err := guard(g.Config.Labels, req, obj); err != nil && !mutate {
			return c.refuse(err)
		}
		return c.letIn("a namespace runs nothing")
	}
	if e := exempt(g.Config.Exempt, caller{req.UserInfo.Username, req.UserInfo.Groups}, scope(req.Namespace), obj.gvk); e != nil {
		c.exempt = true
		return c.letIn(e.Reason)
	}
	rule, ok := Govern(g.Config, req.Namespace)
	if !ok {
		if mutate {
			return c.letIn("no rule governs it; the validating hook says so")
		}
		return c.refuse(ungoverned(req.Namespace))
	}
	c.rule = rule
	c.seen, c.problem = a.look(ctx, g, rule, obj, req, mutate)
	c.looked = true
	return c
}

func malformed(format string, args ...any) *attest.Refusal {
	return attest.Refuse(attest.CodeReview, format, args...)
}
