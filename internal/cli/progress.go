package cli

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/pedigree-ml/pedigree/attest"
)

// A bars shows how long work proceeds, on a terminal.
type bars struct{ p *mpb.Progress }

// minBar is the least work that gets a bar: what is hashed and sent before
// anybody has read the bar's name only makes the screen flicker.
const minBar = 8 << 20

// progress returns something to show work with, and what to call, once or more,
// before anything else is printed.
// Without a terminal on standard error nothing is shown: a log has no use for
// bars.
func (a *app) progress() (*bars, func()) {
	f, ok := terminal(a.Stderr)
	if !ok || a.quiet || a.noProgress {
		return &bars{}, func() {}
	}
	p := mpb.New(mpb.WithOutput(io.Writer(f)), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))
	return &bars{p}, sync.OnceFunc(p.Wait)
}

// Start announces work of total bytes.
func (b *bars) Start(name string, total int64) (add func(n int64), done func()) {
	if b.p == nil || total < minBar {
		return func(int64) {}, func() {}
	}
	bar := b.p.AddBar(total,
		mpb.PrependDecorators(decor.Name(attest.Printable(name), decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")),
		mpb.BarRemoveOnComplete())
	// A bar that was given up must end too, or Wait would wait for ever.
	return bar.IncrInt64, func() { bar.Abort(true) }
}

// minCount is how long work of many small parts takes before it gets a bar.
const minCount = time.Second

// Count announces work whose extent shows only while it is done. set is told how
// much is done of what is known so far; it is called by one goroutine.
func (b *bars) Count(name string) (set func(done, known int), end func()) {
	if b.p == nil {
		return func(int, int) {}, func() {}
	}
	var bar *mpb.Bar
	began := time.Now()
	set = func(done, known int) {
		if bar == nil {
			if time.Since(began) < minCount {
				return
			}
			bar = b.p.AddBar(0,
				mpb.PrependDecorators(decor.Name(attest.Printable(name), decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.CountersNoUnit("%d / %d")),
				mpb.BarRemoveOnComplete())
		}
		bar.SetTotal(int64(known), false)
		bar.SetCurrent(int64(done))
	}
	return set, func() {
		if bar != nil {
			bar.Abort(true)
		}
	}
}
