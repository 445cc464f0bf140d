package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/record"

	"github.com/pedigree-ml/pedigree/internal/gate"
)

// The reasons of events.
const (
	ReasonDenied    = "PedigreeDenied"
	ReasonUndecided = "PedigreeUndecided"
	ReasonAllowed   = "PedigreeAllowed"
)

// A state is what is remembered of a workload from one report to the next.
type state struct {
	result Result
	since  time.Time     // by the wall's clock, to be shown
	from   time.Duration // by the watcher's
	told   Result        // what was last told as an event
}

// note remembers a workload's result and returns since when it has it. What is worth an
// event is told: that something must not run, which is told at first sight too; that it
// cannot be found out, if that lasts for an interval; and that either is over.
func (w *Watcher) note(l *Workload, at time.Time, now time.Duration) time.Time {
	s, known := w.states[l.who]
	if !known {
		s = &state{result: l.Result, since: at, from: now, told: Allowed}
		w.states[l.who] = s
	}
	if s.result != l.Result {
		s.result, s.since, s.from = l.Result, at, now
	}
	worth := l.Result
	switch worth {
	case Unrecognised, Accepted:
		worth = Allowed // no policy's answer: of these the report tells
	case Undecided:
		if now-s.from < w.Interval {
			return s.since
		}
	}
	if worth != s.told {
		w.tell(l, worth)
		s.told = worth
	}
	return s.since
}

// tell logs a change of a workload's result and makes an event of it.
func (w *Watcher) tell(l *Workload, result Result) {
	reason, kind := ReasonDenied, corev1.EventTypeWarning
	switch result {
	case Undecided:
		reason = ReasonUndecided
	case Allowed:
		reason, kind = ReasonAllowed, corev1.EventTypeNormal
	}
	message := message(l, result)
	w.metrics.changes.WithLabelValues(result.String()).Inc()
	w.Log.Info("workload", "namespace", l.Namespace, "kind", l.Kind, "name", l.Name, "result", result.String(), "message", message)
	if w.Events == nil || l.Mode == gate.Audit.String() { // what a rule only writes down is written down
		return
	}
	w.Events.Event(l.about.reference(), kind, reason, message)
}

// maxMessage is the longest message of an event; Kubernetes takes 1 KiB.
const maxMessage = 1000

func message(l *Workload, result Result) string {
	if result == Allowed {
		return "everything that it names is allowed again"
	}
	out := ""
	for _, r := range l.References {
		if r.Result != l.Result {
			continue
		}
		line := fmt.Sprintf("%s %s: %s %s", r.Place, r.Text, r.Code, r.Why)
		if out != "" {
			line = "; " + line
		}
		if out += line; len(out) > maxMessage {
			return strings.ToValidUTF8(out[:maxMessage], "") + "…"
		}
	}
	return out
}

// NewRecorder makes a recorder of events in a cluster, which drops what is said too often,
// and a function that ends it.
func NewRecorder(ctx context.Context, c Cluster, component string, log *slog.Logger) (record.EventRecorder, func()) {
	ctx = logr.NewContextWithSlogLogger(ctx, log)
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&sink{ctx, c.Objects()})
	return b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component}), b.Shutdown
}

// sink writes events through the client that everything else uses: the typed one costs
// every start of the program the registration of all types of Kubernetes.
type sink struct {
	ctx     context.Context // of the process: the interface has none
	objects dynamic.Interface
}

var events = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// Create implements record.EventSink.
func (s *sink) Create(e *corev1.Event) (*corev1.Event, error) {
	u, err := s.untyped(e)
	if err != nil {
		return nil, err
	}
	u, err = s.objects.Resource(events).Namespace(e.Namespace).Create(s.ctx, u, metav1.CreateOptions{})
	return typed(u, err)
}

// Update implements record.EventSink.
func (s *sink) Update(e *corev1.Event) (*corev1.Event, error) {
	u, err := s.untyped(e)
	if err != nil {
		return nil, err
	}
	u, err = s.objects.Resource(events).Namespace(e.Namespace).Update(s.ctx, u, metav1.UpdateOptions{})
	return typed(u, err)
}

// Patch implements record.EventSink.
func (s *sink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	return typed(s.objects.Resource(events).Namespace(e.Namespace).Patch(s.ctx, e.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{}))
}

func (s *sink) untyped(e *corev1.Event) (*unstructured.Unstructured, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(b, &u.Object); err != nil {
		return nil, err
	}
	u.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Event"))
	return u, nil
}

func typed(u *unstructured.Unstructured, err error) (*corev1.Event, error) {
	if err != nil {
		return nil, err
	}
	var e corev1.Event
	return &e, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &e)
}
