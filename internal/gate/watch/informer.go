package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
	"github.com/pedigree-ml/pedigree/internal/gate/place"
)

// A resource is what is watched.
type resource struct {
	Resource
	whole bool // the configuration has expressions of its own about it
}

// An informer holds the objects of one resource, as the API server tells them.
type informer struct {
	cache cache.SharedIndexInformer
	stop  context.CancelFunc
	since time.Duration // on the watcher's clock

	mu    sync.Mutex
	lists attempts
	views attempts // watching, which also lists where the server can send what is there
}

// attempts are how one kind of request goes.
type attempts struct {
	failing error // of the last
	from    time.Duration
}

// ended notes how one ended. An expired resource version is no failure: it is listed again.
func (a *attempts) ended(now time.Duration, err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		err = nil
	}
	if err != nil && a.failing == nil {
		a.from = now
	}
	a.failing = err
}

const (
	// discoveryTime bounds asking what is served, and discoverEvery is how often it is
	// asked: definitions of resources come and go.
	discoveryTime = 15 * time.Second
	discoverEvery = time.Minute
	discoverAgain = 5 * time.Second // if something could not be found out
	// syncTime is how long what is begun to be watched may take to be listed before that
	// is a gap.
	syncTime = 20 * time.Second
	// brokenTime is how long listing or watching may fail before what is shown of it is
	// called old.
	brokenTime = 20 * time.Second
)

// inventory is what is watched, and what of it could not be found out.
type inventory struct {
	cluster Cluster
	failed  func(r resource, err error)
	elapsed func() time.Duration
	changed func() // called when an object came, changed or went

	mu      sync.Mutex
	watched map[resource]*informer
	gaps    []Gap // in what is served
	known   *gate.Config
}

// follow sees to it that everything is watched that can name something under the latest
// of the grounds, until ctx ends.
func (v *inventory) follow(ctx context.Context, grounds <-chan *gate.Grounds) {
	g := <-grounds // the first come before anything else
	next := time.NewTimer(0)
	defer next.Stop()
	defer v.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case g = <-grounds:
		case <-next.C:
		}
		next.Reset(discoverEvery)
		if !v.discover(ctx, g.Config) {
			next.Reset(discoverAgain)
		}
		v.changed()
	}
}

// discover asks what is served, and watches it. It reports whether it has found out.
func (v *inventory) discover(ctx context.Context, c *gate.Config) bool {
	table, err := place.New(c.Kinds)
	if err != nil {
		v.settle(ctx, c, nil, []Gap{gapOf("kinds", err)}) // unreachable: what is loaded was compiled
		return false
	}
	short, cancel := context.WithTimeout(ctx, discoveryTime)
	defer cancel()
	var gaps []Gap
	found := map[schema.GroupKind][]Resource{}
	lost := map[schema.GroupKind]bool{}
	for _, gvk := range table.Kinds() {
		served, err := v.cluster.Served(short, gvk)
		if err != nil {
			lost[gvk.GroupKind()] = true
			gaps = append(gaps, gapOf(gvk.GroupKind().String(), err))
		}
		for _, r := range served {
			if !slices.Contains(found[gvk.GroupKind()], r) {
				found[gvk.GroupKind()] = append(found[gvk.GroupKind()], r)
			}
		}
	}
	wanted := map[resource]bool{}
	for gk, served := range found {
		whole := slices.ContainsFunc(c.Kinds, func(k gate.Kind) bool { return k.Group == gk.Group && k.Kind == gk.Kind })
		for _, r := range choose(c.Kinds, served) {
			wanted[resource{r, whole}] = true
		}
	}
	v.mu.Lock()
	for r := range v.watched {
		// What was watched is watched on: not knowing is no reason to look away.
		wanted[r] = wanted[r] || lost[r.Kind.GroupKind()]
	}
	v.mu.Unlock()
	v.settle(ctx, c, wanted, gaps)
	return len(gaps) == 0
}

// settle watches what is wanted and not watched yet, and ends the rest.
func (v *inventory) settle(ctx context.Context, c *gate.Config, wanted map[resource]bool, gaps []Gap) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	v.known, v.gaps = c, gaps
	for r, i := range v.watched {
		if !wanted[r] {
			i.stop()
			delete(v.watched, r)
		}
	}
	for r, want := range wanted {
		if want && v.watched[r] == nil {
			v.watched[r] = v.inform(ctx, r)
		}
	}
}

// choose leaves one of several versions in which the same objects are served, unless no
// one of them has all that is looked at: that which is known without being told first, and
// then in the server's order.
func choose(kinds []gate.Kind, served []Resource) (out []Resource) {
	const builtin = -1
	covers := func(r Resource) (lines []int) {
		var plain *place.Table
		if plain, _ = place.New(nil); slices.Contains(plain.Kinds(), r.Kind) {
			lines = append(lines, builtin)
		}
		for i, k := range kinds {
			if k.Group == r.Kind.Group && k.Kind == r.Kind.Kind && (len(k.Versions) == 0 || slices.Contains(k.Versions, r.Kind.Version)) {
				lines = append(lines, i)
			}
		}
		return lines
	}
	ordered := slices.Clone(served)
	slices.SortStableFunc(ordered, func(a, b Resource) int { return len(covers(b)) - len(covers(a)) })
	var covered []int
	for _, r := range ordered {
		lines := covers(r)
		if slices.ContainsFunc(lines, func(l int) bool { return !slices.Contains(covered, l) }) {
			covered = append(covered, lines...)
			out = append(out, r)
		}
	}
	return out
}

func (v *inventory) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.watched {
		i.stop()
	}
}

// inform begins to watch a resource.
func (v *inventory) inform(ctx context.Context, r resource) *informer {
	i := &informer{since: v.elapsed()}
	objects := v.cluster.Objects().Resource(r.GroupVersionResource)
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			l, err := objects.List(ctx, o)
			i.mu.Lock()
			defer i.mu.Unlock()
			i.lists.ended(v.elapsed(), err)
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := objects.Watch(ctx, o)
			i.mu.Lock()
			defer i.mu.Unlock()
			i.views.ended(v.elapsed(), err)
			return w, err
		},
	}
	i.cache = cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(list, v.cluster.Objects()), &unstructured.Unstructured{}, cache.SharedIndexInformerOptions{ObjectDescription: r.GroupVersionResource.String()})
	// Errors are only of an informer that runs already.
	_ = i.cache.SetTransform(pack(r))
	_ = i.cache.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { v.failed(r, err) })
	_, _ = i.cache.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { v.changed() }, UpdateFunc: func(_, _ any) { v.changed() }, DeleteFunc: func(any) { v.changed() },
	})
	ctx, i.stop = context.WithCancel(ctx)
	go i.cache.RunWithContext(ctx)
	return i
}

// trouble returns since when something fails, and what; nil if nothing does.
func (i *informer) trouble() (since time.Duration, failing error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.views.failing != nil {
		return i.views.from, i.views.failing
	}
	return i.lists.from, i.lists.failing
}

// gap says why what is held of the resource may not be all; nil if it is.
func (i *informer) gap(r resource, now time.Duration) *Gap {
	name := r.GroupVersionResource.GroupResource().String()
	from, failing := i.trouble()
	switch {
	case failing != nil && (!i.cache.HasSynced() || now-from > brokenTime):
		g := gapOf(name, failing)
		return &g
	case !i.cache.HasSynced():
		return &Gap{Resource: name, Why: "its objects have not been listed yet"}
	}
	return nil
}

// list returns what is known to be there, in order, and of which resources that may not
// be everything. whole is false as long as something may be listed in a moment, and there
// is no reason yet to go on without.
func (v *inventory) list(c *gate.Config) (out []object, gaps []Gap, whole bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	whole, now := v.known == c, v.elapsed()
	gaps = slices.Clone(v.gaps)
	for r, i := range v.watched {
		if g := i.gap(r, now); g != nil {
			gaps = append(gaps, *g)
			whole = whole && (i.cache.HasSynced() || now-i.since > syncTime || i.refused())
		}
		for _, obj := range i.cache.GetStore().List() {
			if p, ok := obj.(*packed); ok && p.live {
				out = append(out, object{r, p})
			}
		}
	}
	slices.SortFunc(gaps, Gap.compare)
	return out, slices.Compact(gaps), whole
}

// refused reports whether waiting is of no use.
func (i *informer) refused() bool {
	_, failing := i.trouble()
	return apierrors.IsForbidden(failing) || apierrors.IsUnauthorized(failing)
}

func gapOf(what string, err error) Gap {
	why := "it could not be asked for: " + attest.Printable(fmt.Sprintf("%.300s", err.Error()))
	switch {
	case apierrors.IsForbidden(err):
		why = "the cluster does not let the gate look"
	case apierrors.IsUnauthorized(err):
		why = "the cluster does not know who the gate is"
	case errors.Is(err, context.DeadlineExceeded):
		why = "the API server did not answer in time"
	}
	return Gap{Resource: what, Why: why}
}
