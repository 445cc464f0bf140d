// Package browser opens drawings in a real browser: what a stranger wrote must not run
// there, nothing may be loaded, and the page has to do what its buttons say.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pedigree-ml/pedigree/internal/draw"
	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
	"github.com/pedigree-ml/pedigree/verify/lineage"
)

// programs are what the tests run: the browser of the system, and pedigree-layout.
type programs struct{ chromium, layouter string }

// find is a failure, not a skip, where CI asks for everything.
func find(t *testing.T) programs {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no browser: %v; test/setup.sh installs it", err)
	}
	layouter, err := drawtest.Layouter("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return programs{chromium, layouter}
}

// A tab is a browser's page, and what it did that a page of ours must not do.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	dialogs  []string
	consoles []string
}

// open starts a browser of its own with a fresh profile.
func open(t *testing.T, p programs) *tab {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(p.chromium), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WindowSize(1400, 900))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as this context
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	_, errNetwork := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, errPage := chromedp.Call(ctx, page.Enable, page.EnableParams{})
	_, errRuntime := chromedp.Call(ctx, cdpruntime.Enable, cdp.Empty{})
	if err := errors.Join(errNetwork, errPage, errRuntime); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *page.EventJavascriptDialogOpening:
		b.dialogs = append(b.dialogs, e.Message)
		go func() { // not here: the browser waits for this function
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	case *cdpruntime.EventConsoleAPICalled:
		b.consoles = append(b.consoles, fmt.Sprint(e.Type))
	case *cdpruntime.EventExceptionThrown:
		b.consoles = append(b.consoles, e.ExceptionDetails.Text)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return out
}

// expect wants an expression to be true.
func (b *tab) expect(expression string) {
	b.t.Helper()
	if !ask[bool](b, expression) {
		b.t.Errorf("not true: %s", expression)
	}
}

// harmless checks that nothing of a stranger's ran, and that only the page was loaded.
func (b *tab) harmless(url string) {
	b.t.Helper()
	if got := ask[string](b, "String(window.pwned)"); got != "undefined" {
		b.t.Errorf("window.pwned is %s: a name ran as a script", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.dialogs) > 0 {
		b.t.Errorf("dialogs were opened: %q", b.dialogs)
	}
	if len(b.consoles) > 0 {
		b.t.Errorf("the console was written to: %q", b.consoles)
	}
	if len(b.requests) != 1 || b.requests[0] != url {
		b.t.Errorf("requested were %q, want only %s", b.requests, url)
	}
}

type drawer func(context.Context, *bytes.Buffer, *lineage.Graph, draw.Options) error

func html(ctx context.Context, w *bytes.Buffer, g *lineage.Graph, o draw.Options) error {
	return draw.HTML(ctx, w, g, o)
}

func svg(ctx context.Context, w *bytes.Buffer, g *lineage.Graph, o draw.Options) error {
	return draw.SVG(ctx, w, g, o)
}

// drawn writes a drawing into a file and returns its name.
func drawn(t *testing.T, p programs, d drawer, g *lineage.Graph, name string) string {
	t.Helper()
	hostile := strings.Join(drawtest.Names[:20], " ")
	var b bytes.Buffer
	if err := d(t.Context(), &b, g, draw.Options{Title: drawtest.Names[13], Trust: hostile, Verdict: hostile, Layouters: []string{p.layouter}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Hostile names are shown, and nothing else happens: from a file and from a server, as a
// page and as a picture, and whatever is clicked.
func TestHostileNamesDoNotRun(t *testing.T) {
	p := find(t)
	trap := newTrap(t) // where names point to something that could be fetched, it is here
	g := drawtest.Hostile()
	for i, name := range []string{`"><img src="` + trap.URL + `/img">`, `<script src="` + trap.URL + `/script"></script>`, `<link rel=stylesheet href="` + trap.URL + `/css">`, trap.URL + "/name"} {
		g.Nodes[i+5].Name, g.Records[i+5].Signer = name, name
	}
	pagePath, picturePath := drawn(t, p, html, g, "page.html"), drawn(t, p, svg, g, "picture.svg")
	srv := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(pagePath))))
	t.Cleanup(srv.Close)
	for name, url := range map[string]string{"file": "file://" + pagePath, "server": srv.URL + "/page.html"} {
		t.Run("page from "+name, func(t *testing.T) {
			b := open(t, p)
			b.do(chromedp.Navigate(url), chromedp.WaitVisible("#evidence h2"))
			b.expect(`document.querySelectorAll("img, iframe, a, link, object, embed, form, [onerror], [onload]").length === 0`)
			b.expect(fmt.Sprintf(`document.querySelectorAll("#view > .node").length === %d`, len(g.Nodes)))
			b.expect(fmt.Sprintf(`document.title === %s`, quote(drawtest.Names[13])))
			for i := range g.Nodes {
				b.expect(fmt.Sprintf(`document.getElementById("n%d").dispatchEvent(new MouseEvent("click", {bubbles: true})) && document.querySelector("#evidence article") !== null`, i))
				if i > 0 {
					b.expect(fmt.Sprintf(`document.getElementById("e%d").dispatchEvent(new MouseEvent("click", {bubbles: true})) && document.querySelector("#evidence article") !== null`, i-1))
				}
			}
			b.do(chromedp.SendKeys("#find", `<img src=x onerror="window.pwned=9">`))
			b.harmless(url)
		})
	}
	t.Run("picture", func(t *testing.T) {
		b := open(t, p)
		url := "file://" + picturePath
		b.do(chromedp.Navigate(url))
		b.expect(fmt.Sprintf(`document.querySelectorAll(".node[id]").length === %d`, len(g.Nodes)))
		b.harmless(url)
	})
	trap.untouched()
}

// The control: the browser does run what is not escaped, and the tests do see it.
func TestWhatIsNotEscapedIsNoticed(t *testing.T) {
	p := find(t)
	b := open(t, p)
	ran := 0
	for i, name := range drawtest.Names {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("bad%d.html", i))
		if err := os.WriteFile(path, []byte("<!DOCTYPE html><meta charset=utf-8><title></title><p>"+name), 0o600); err != nil {
			t.Fatal(err)
		}
		b.do(chromedp.Navigate("file://" + path))
		if ask[string](b, "String(window.pwned)") != "undefined" {
			ran++
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ran < 4 || len(b.dialogs) < 2 || len(b.requests) <= len(drawtest.Names) {
		t.Errorf("%d names ran, %d opened dialogs, and there were %d requests: the names of the tests are not dangerous", ran, len(b.dialogs), len(b.requests))
	}
}

// Even if text became markup, the page's policy would not let it do anything.
func TestThePolicyHoldsWithoutTheEscaping(t *testing.T) {
	p := find(t)
	trap := newTrap(t)
	text, err := os.ReadFile(drawn(t, p, html, drawtest.Credit(), "page.html"))
	if err != nil {
		t.Fatal(err)
	}
	injected := `</header><script>window.pwned=1</script><script src="` + trap.URL + `/script"></script><img src="` + trap.URL + `/img" onerror="window.pwned=2">` +
		`<style>header{display:none}</style><iframe src="` + trap.URL + `/frame"></iframe><p id="unstyled" style="display:none">injected</p>`
	text = bytes.Replace(text, []byte("</header>"), []byte(injected), 1)
	load := func(name string, text []byte) *tab {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, p)
		b.do(chromedp.Navigate("file://"+path), chromedp.Sleep(300*time.Millisecond))
		return b
	}
	b := load("injected.html", text)
	b.expect(`window.pwned === undefined && getComputedStyle(document.querySelector("header")).display !== "none"`)
	b.expect(`(() => { try { document.createElement("p").innerHTML = "<b>x</b>"; return false } catch { return true } })()`)
	trap.untouched()

	// The control: without the policy all of it happens.
	b = load("lawless.html", bytes.Replace(text, []byte(`http-equiv="Content-Security-Policy"`), []byte(`name="nothing"`), 1))
	b.expect(`window.pwned !== undefined && getComputedStyle(document.querySelector("header")).display === "none"`)
	if len(trap.fetched) < 3 {
		t.Errorf("without the policy only %d were fetched: nothing was tested", len(trap.fetched))
	}
}

// A trap is a server from which nothing may be fetched. (A browser may still connect
// to it, and say nothing, before it asks the page's policy.)
type trap struct {
	*httptest.Server
	t       *testing.T
	fetched chan string
}

func newTrap(t *testing.T) *trap {
	tr := &trap{t: t, fetched: make(chan string, 1000)}
	tr.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { tr.fetched <- r.URL.String() }))
	t.Cleanup(tr.Close)
	return tr
}

func (tr *trap) untouched() {
	tr.t.Helper()
	select {
	case what := <-tr.fetched:
		tr.t.Errorf("%s was fetched", what)
	default:
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
