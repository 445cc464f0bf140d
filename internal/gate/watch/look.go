package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate/admit"
	"github.com/pedigree-ml/pedigree/policy"
)

// An owner is a workload: the outermost object that is known to own others.
type owner struct{ namespace, kind, name string }

func (o owner) compare(p owner) int {
	return cmp.Or(cmp.Compare(o.namespace, p.namespace), cmp.Compare(o.kind, p.kind), cmp.Compare(o.name, p.name))
}

// An object is one thing that was listed.
type object struct {
	resource resource
	*packed
}

func (o object) self() owner { return owner{o.namespace, o.resource.Kind.Kind, o.name} }

// reference names the object to the API.
func (o object) reference() *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: o.resource.Kind.GroupVersion().String(), Kind: o.resource.Kind.Kind,
		Namespace: o.namespace, Name: o.name, UID: types.UID(o.uid), ResourceVersion: o.version,
	}
}

// A body is what objects say that are alike in everything that is looked at, and what
// became of it: of a thousand pods of one workload it is looked at once.
type body struct {
	resource  resource
	namespace string
	text      unique.Handle[string]
}

// A view is what was seen of a body.
type view struct {
	rule, mode string
	seen       []seen
	asks       []*inquiry
	stale      bool // something it rests on changed
	there      bool // it was listed just now
}

// seen is one place, and who is asked about it: nobody if nil.
type seen struct {
	Reference
	inquiry *inquiry
	pending bool // nobody has answered yet
	kept    bool // what is told is what was told before
}

// lookAgain looks at what is stale.
func (w *Watcher) lookAgain(ctx context.Context) {
	for b, v := range w.bodies {
		if v.stale {
			w.look(ctx, b, v)
			w.news = true
		}
	}
	w.asks.sweep()
}

// look looks at a body by the answers that there are. Nobody is asked.
func (w *Watcher) look(ctx context.Context, b body, v *view) {
	old := v.seen
	w.drop(b, v)
	v.seen, v.stale, v.rule, v.mode = nil, false, "", ""
	for _, s := range w.saw(ctx, b) {
		if s.Rule != nil {
			v.rule, v.mode = s.Rule.Name, s.Rule.Mode.String()
		}
		x := seen{Reference: reference(s), pending: errors.Is(cmp.Or(s.Err, s.Answer.Err), errPending)}
		if s.Question.Ground != nil {
			if x.inquiry = w.asks.get(s.Question); x.inquiry != nil {
				x.inquiry.raise(b)
				v.asks = append(v.asks, x.inquiry)
			}
		}
		if x.pending {
			x.keep(old)
		}
		v.seen = append(v.seen, x)
	}
}

// drop takes a body's interest from what it asked.
func (w *Watcher) drop(b body, v *view) {
	for _, i := range v.asks {
		delete(i.bodies, b)
	}
	v.asks = nil
}

// keep takes what was told of the same place before, until somebody has answered: that
// the policies were loaded again is no reason to say of everything that nobody knows.
func (s *seen) keep(before []seen) {
	for _, b := range before {
		if b.Place == s.Place && b.Text == s.Text && (!b.pending || b.kept) {
			s.Reference, s.kept = b.Reference, true
			s.Reference.At = b.asked()
		}
	}
}

// asked is when the answer was looked for that s rests on.
func (s seen) asked() time.Time {
	if s.inquiry != nil && s.inquiry.answered && !s.pending {
		return s.inquiry.at
	}
	return s.Reference.At
}

// saw has the admitter look at what objects with this body say.
func (w *Watcher) saw(ctx context.Context, b body) (out []admit.Seen) {
	defer func() {
		// The objects are tenants', and one of them must not end the watch over all others.
		if p := recover(); p != nil {
			w.Log.Error("a bug was caught", "panic", attest.Printable(fmt.Sprint(p)), "stack", string(debug.Stack()))
			out = []admit.Seen{{Standing: admit.Refused, Outcome: policy.Undecided, Err: attest.Refuse(attest.CodeInternal, "looking at a %s: this is a bug", b.resource.Kind.Kind)}}
		}
	}()
	obj, err := unpack(b.text)
	if err != nil {
		return []admit.Seen{{Standing: admit.Refused, Outcome: policy.Undecided, Err: err}} // unreachable
	}
	started(obj)
	return w.admitter.Look(ctx, w.grounds, obj, b.resource.Kind, b.namespace)
}

// started writes into a pod the digests that its containers were started from, where it
// names tags and the kubelet says which. Of the images that it mounts as volumes nobody
// says that: where they are named by tags, what is judged is what the tags name now.
func started(obj map[string]any) {
	status, _ := obj["status"].(map[string]any)
	if kind, _ := obj["kind"].(string); kind != "Pod" || status == nil {
		return
	}
	spec, _ := obj["spec"].(map[string]any)
	for _, of := range []struct{ containers, statuses string }{
		{"containers", "containerStatuses"}, {"initContainers", "initContainerStatuses"}, {"ephemeralContainers", "ephemeralContainerStatuses"},
	} {
		ran := map[string]string{}
		list, _ := status[of.statuses].([]any)
		for _, s := range list {
			s, _ := s.(map[string]any)
			name, _ := s["name"].(string)
			ran[name], _ = s["imageID"].(string)
		}
		list, _ = spec[of.containers].([]any)
		for _, c := range list {
			c, _ := c.(map[string]any)
			name, _ := c["name"].(string)
			if image, ok := c["image"].(string); ok {
				c["image"] = pinned(image, ran[name])
			}
		}
	}
}

// pinned returns an image with the digest of an imageID, REPOSITORY@sha256:…, in place of
// its tag. What has a digest is not touched, and neither is what an imageID says nothing
// about: runtimes also give there the digest of a configuration, without a repository.
func pinned(image, id string) string {
	_, digest, ok := strings.Cut(id, "@")
	if !ok || strings.Contains(image, "@") {
		return image
	}
	if _, err := attest.ParseDigest(digest); err != nil {
		return image
	}
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image + "@" + digest
}
