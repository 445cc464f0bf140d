package judge

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/state"
	"github.com/pedigree-ml/pedigree/policy"
)

// marks are the highest numbers by name, sorted by it; never changed once others can
// see them.
type marks []policy.Mark

func (m marks) find(name string) (policy.Mark, bool) {
	i, ok := slices.BinarySearchFunc(m, name, func(x policy.Mark, name string) int { return cmp.Compare(x.Name, name) })
	if !ok {
		return policy.Mark{Name: name}, false
	}
	return m[i], true
}

// with returns m with higher numbers taken over; m itself if there are none. Of two
// contents with one number the first stays.
func (m marks) with(more []policy.Mark) marks {
	out := m
	for _, x := range more {
		old, found := out.find(x.Name)
		if found && x.Number <= old.Number {
			continue
		}
		if len(out) == len(m) && (len(m) == 0 || &out[0] == &m[0]) {
			out = slices.Clone(m)
		}
		i, _ := slices.BinarySearchFunc(out, x.Name, func(y policy.Mark, name string) int { return cmp.Compare(y.Name, name) })
		if found {
			out[i] = x
		} else {
			out = slices.Insert(out, i, x)
		}
	}
	return out
}

// maxSeen bounds what is remembered without a folder: a hundred bytes for each status
// and deny list. Only who may publish them can add any. With a folder, its own bound
// is lower, and reaching it refuses.
const maxSeen = 1 << 16

// A ledger remembers the highest numbers that were seen: in memory, and in a folder if
// there is one. The memory is never behind the folder as it was last read, and never
// forgets what was seen because it could not be written.
type ledger struct {
	dir *state.Dir // may be nil

	seen  atomic.Pointer[marks]
	mu    sync.Mutex // of what follows, and of storing seen
	known marks      // what the folder has, as it was last read or written
	stamp state.Stamp
	next  *batch

	disk sync.Mutex // held while the folder is written
}

// A batch is what several verdicts saw, written at once: each write waits for the
// disk, and a crowd of new models would wait for each other.
type batch struct {
	marks [][]policy.Mark
	errs  []error
	done  bool
}

func (l *ledger) load() marks {
	if m := l.seen.Load(); m != nil {
		return *m
	}
	return nil
}

// current reports whether nothing higher was seen than these.
func (l *ledger) current(rests []policy.Mark) bool {
	if len(rests) == 0 {
		return true
	}
	m := l.load()
	for _, r := range rests {
		if x, _ := m.find(r.Name); x.Number > r.Number {
			return false
		}
	}
	return true
}

// read returns the highest numbers. Another process may write to the folder: it is
// read again when it changed. What cannot be read is attest.CodeState.
func (l *ledger) read() (marks, error) {
	if l.dir == nil {
		return l.load(), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stamp, err := l.dir.Stamp()
	if err != nil {
		return nil, err
	}
	if l.seen.Load() == nil || !stamp.Same(l.stamp) {
		list, err := l.dir.Marks()
		if err != nil {
			return nil, err
		}
		l.stamp = stamp // of before it was read: what was written since is read next time
		l.known = list
		l.see(list)
	}
	return l.load(), nil
}

// see takes numbers into memory. The caller holds mu.
func (l *ledger) see(more []policy.Mark) {
	m := l.load().with(more)
	if len(m) > maxSeen {
		m = slices.Clone(m[:maxSeen/2]) // without a folder, nobody was promised more
	}
	l.seen.Store(&m)
}

// settle remembers what a verdict saw, before it is told, and returns the numbers that
// it rests on: the highest that are known of each thing that it looked at. overtaken
// says that somebody saw more than the verdict was told was remembered. An error means
// that it cannot be kept, or that two things were published under one number.
func (l *ledger) settle(p *policy.Policy, root attest.Digest, v *policy.Verdict, remembered marks, durable bool) (rests []policy.Mark, overtaken bool, err error) {
	if durable {
		keep := v.Marks
		if p.CheckRollback(remembered) == nil {
			keep = append([]policy.Mark{p.Mark()}, v.Marks...)
		}
		err = l.write(keep)
	}
	l.mu.Lock()
	l.see(v.Marks) // also if it could not be written: it was seen
	l.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	now := l.load()
	for _, m := range v.Marks {
		known, _ := now.find(m.Name)
		was, _ := remembered.find(m.Name)
		if known != was && (known.Number > m.Number || known.Number == m.Number && known.Content != m.Content) {
			overtaken = true
		} else if v.Outcome == policy.Allow && known.Number > m.Number {
			// The newer one is there, and counts for nothing yet: it is from the future.
			return nil, false, &attest.Refusal{Code: attest.CodeRollback, About: root.String(), Why: fmt.Sprintf("it is allowed by number %d of what was seen up to %d", m.Number, known.Number), Next: "see whether this machine's clock was set back"}
		}
		rests = append(rests, known)
	}
	if name := p.StatusMark(root); name != "" && !slices.ContainsFunc(rests, func(m policy.Mark) bool { return m.Name == name }) {
		known, _ := now.find(name)
		rests = append(rests, known)
	}
	return rests, overtaken, nil
}

// write makes marks durable. Where nothing rose, nothing is written.
func (l *ledger) write(more []policy.Mark) error {
	l.mu.Lock()
	if rises := slices.ContainsFunc(more, func(m policy.Mark) bool {
		old, found := l.known.find(m.Name)
		// The same number with another content is for the folder to refuse.
		return !found || m.Number > old.Number || m.Number == old.Number && m.Content != old.Content
	}); !rises {
		l.mu.Unlock()
		return nil
	}
	if l.next == nil {
		l.next = &batch{}
	}
	b, i := l.next, len(l.next.marks)
	b.marks = append(b.marks, more)
	l.mu.Unlock()

	l.disk.Lock()
	defer l.disk.Unlock()
	if !b.done {
		l.mu.Lock()
		l.next = nil // what comes now is for the next batch
		l.mu.Unlock()
		l.commit(b)
	}
	return b.errs[i]
}

// commit writes a batch. If it cannot be written whole, each part has an answer of its
// own: one publisher's contradiction is no reason to refuse others' models.
func (l *ledger) commit(b *batch) {
	b.done = true
	b.errs = make([]error, len(b.marks))
	defer func() {
		if r := recover(); r != nil {
			for i := range b.errs {
				b.errs[i] = attest.Refuse(attest.CodeInternal, "panic while remembering: %v", r)
			}
		}
	}()
	if err := l.dir.Remember(slices.Concat(b.marks...)); err != nil {
		for i, m := range b.marks {
			if len(b.marks) > 1 {
				err = l.dir.Remember(m)
			}
			b.errs[i] = err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range b.marks {
		if b.errs[i] == nil {
			l.known = l.known.with(m)
		}
	}
}
