package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pedigree-ml/pedigree/internal/draw/drawtest"
)

// credit opens the page of the honest graph.
func credit(t *testing.T) (*tab, string) {
	t.Helper()
	p := find(t)
	url := "file://" + drawn(t, p, html, drawtest.Credit(), "page.html")
	b := open(t, p)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible("#evidence h2"))
	return b, url
}

func (b *tab) transform() string {
	b.t.Helper()
	return ask[string](b, `document.getElementById("view").getAttribute("transform")`)
}

func (b *tab) scale() float64 {
	b.t.Helper()
	return ask[float64](b, `document.getElementById("view").transform.baseVal.consolidate().matrix.a`)
}

func TestThePageZoomsAndMoves(t *testing.T) {
	b, url := credit(t)
	fitted, start := b.transform(), b.scale()
	b.expect(`[...document.querySelectorAll("#view > .node")].every(n => { const a = n.getBoundingClientRect(), p = document.getElementById("picture").getBoundingClientRect(); return a.width > 0 && a.left >= p.left && a.right <= p.right && a.top >= p.top && a.bottom <= p.bottom })`)
	bigger := func(what string, want bool) {
		t.Helper()
		now := b.scale()
		if (now > start) != want || now == start {
			t.Errorf("%s: the scale went from %g to %g", what, start, now)
		}
		start = now
	}
	b.do(chromedp.Click("#in"))
	bigger("the button +", true)
	b.do(chromedp.Click("#out"), chromedp.Click("#out"))
	bigger("the button -", false)
	b.do(chromedp.Focus("#picture"), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"))
	bigger("the key +", true)
	b.do(chromedp.KeyEvent("-"))
	bigger("the key -", false)
	b.expect(`document.getElementById("picture").dispatchEvent(new WheelEvent("wheel", {deltaY: -100, clientX: 300, clientY: 400, cancelable: true, bubbles: true})) === false`)
	bigger("the wheel", true)
	before := b.transform()
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	if b.transform() == before {
		t.Error("the arrow key did not move it")
	}
	before = b.transform()
	b.do(chromedp.MouseEvent(chromedp.MousePressed, 60, 700, chromedp.ButtonLeft), chromedp.MouseEvent(chromedp.MouseMoved, 160, 650, chromedp.ButtonLeft), chromedp.MouseEvent(chromedp.MouseReleased, 160, 650, chromedp.ButtonLeft))
	if b.transform() == before {
		t.Error("dragging did not move it")
	}
	b.do(chromedp.Click("#fit"))
	if got := b.transform(); got != fitted {
		t.Errorf("Fit gives %s, and at the beginning it was %s", got, fitted)
	}
	b.harmless(url)
}

func (b *tab) shown(selector string) int {
	b.t.Helper()
	return ask[int](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter(e => getComputedStyle(e).display !== "none").length`, selector))
}

func TestThePageFiltersBySteps(t *testing.T) {
	b, url := credit(t)
	g := drawtest.Credit()
	if n, e := b.shown("#view > .node"), b.shown("#view > .edge"); n != len(g.Nodes) || e != len(g.Edges) {
		t.Fatalf("%d artifacts and %d arrows, want %d and %d", n, e, len(g.Nodes), len(g.Edges))
	}
	toggle := func(step string) {
		t.Helper()
		b.expect(fmt.Sprintf(`(() => { const l = [...document.querySelectorAll("#controls label")].find(l => l.textContent.trim() === %q); l.querySelector("input").click(); return true })()`, step))
	}
	toggle("train") // what only training took goes: the lock file and the base model
	if n, e := b.shown("#view > .node"), b.shown("#view > .edge"); n != 6 || e != 6 {
		t.Errorf("without training %d artifacts and %d arrows, want 6 and 6", n, e)
	}
	if b.shown("#n5") != 0 || b.shown("#n6") != 0 || b.shown("#n0") != 1 {
		t.Error("the wrong ones are hidden")
	}
	toggle("quantize")
	if n := b.shown("#view > .node"); n != 3 {
		t.Errorf("without quantizing %d artifacts, want the model, its test data and their source", n)
	}
	toggle("train")
	toggle("quantize")
	if n := b.shown("#view > .node"); n != len(g.Nodes) {
		t.Errorf("with all steps again %d artifacts", n)
	}
	b.harmless(url)
}

func TestThePageShowsTheEvidence(t *testing.T) {
	b, url := credit(t)
	g := drawtest.Credit()
	panel := func() string {
		t.Helper()
		return ask[string](b, `document.getElementById("evidence").textContent`)
	}
	says := func(what string, words ...string) {
		t.Helper()
		text := panel()
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s: the panel does not say %q:\n%s", what, w, text)
			}
		}
	}
	says("at the beginning", "acme/other-base", "E_REG_UNAVAILABLE", "requirements.lock: evidence ends: nothing signed")
	b.do(chromedp.Click("#n0 .box"))
	says("the model", "credit-model:v3-int8", g.Artifact.String(), "evaluation quality by evaluator", "0.77", "approved", "2026-05-06 09:30:00Z",
		g.Records[1].Payload.String(), g.Records[1].Credential, "authentic, and unreadable: a duplicate key", "no step of the policy", "made with credit-model:v3 (parent-model, quantize)", "judged with german-credit test split", "acme/other-base")
	b.do(chromedp.Click("#n6 .box"))
	says("the base model", "evidence ends: not looked at", "gap: E_REG_UNAVAILABLE", "No trusted record")
	b.do(chromedp.Click("#n4 .box"))
	says("the code", "evidence ends: accepted, origin", "git+https://git.example/acme/credit")
	b.do(chromedp.Focus("#e3"), chromedp.KeyEvent(kb.Enter))
	says("an arrow, by keyboard", "training-data", "credit-model:v3 was made with german-credit train split", "train by trainer")
	b.expect(`document.querySelector("#e3").classList.contains("chosen") && document.querySelectorAll("#view .chosen").length === 1`)
	b.do(chromedp.Click("#evidence li button"))
	says("the link to the product", "credit-model:v3", "parameter C")
	b.do(chromedp.Focus("#picture"), chromedp.KeyEvent(kb.Escape))
	says("back", "Overview")
	b.do(chromedp.SendKeys("#find", "ALICE"))
	b.expect(`document.getElementById("found").textContent === "1 found" && !document.getElementById("n0").classList.contains("dim") && document.getElementById("n1").classList.contains("dim")`)
	b.do(chromedp.SendKeys("#find", kb.Enter))
	says("the finding", "credit-model:v3-int8")
	b.harmless(url)
}

// Without scripts the page has the picture and the same in words.
func TestThePageWithoutScripts(t *testing.T) {
	p := find(t)
	url := "file://" + drawn(t, p, html, drawtest.Credit(), "page.html")
	b := open(t, p)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(url), chromedp.WaitVisible("noscript ul"))
	words, err := chromedp.Run(b.ctx, chromedp.Text("noscript"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"credit-model:v3-int8", "made with training-data (train)", "evidence ends: nothing signed", "contradiction: README.md"} {
		if !strings.Contains(words, want) {
			t.Errorf("the words have no %q", want)
		}
	}
	b.expect(`getComputedStyle(document.getElementById("controls")).display === "none" && document.getElementById("picture").getBoundingClientRect().width > 500`)
}
