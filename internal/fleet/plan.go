package fleet

import (
	"fmt"
	"math/rand/v2"

	"github.com/pedigree-ml/pedigree/attest"
)

// The data sets that are kept for one purpose: hotIndex numbers the raw set behind
// Config.Hot and the sets prepared of it, chainData what the single chain is trained on.
const (
	hotIndex  = 0
	chainData = 1

	hotData = 2 // what is prepared of the hot set: a training and a test set
)

// hotFamily is how many versions the families have that are trained on hot data.
const hotFamily = 40

// A base is a model that somebody outside published.
type base struct {
	name   string // org/name
	digest attest.Digest
}

// A raw is a data set as it came from outside.
type raw struct {
	name   string
	digest attest.Digest
}

// A prepared is a training set and a test set that one run made of raw ones.
type prepared struct {
	raws        []int
	slot        int // of the version before which it was made; -1: before all
	train, test attest.Digest
}

// The fates of a version.
const (
	fateApproved = iota
	fateBad      // its evaluation is below what is asked for
	fateWaiting  // for people
	fateRejected // by one of them
	fateStep     // of the single chain: evaluated, and trained on
)

// chainReleases is how many versions of the single chain come to one that is offered
// to be used: who trains a model on every night does not release it every morning.
const chainReleases = 20

// The styles of families.
const (
	styleScratch  = iota // every version is trained from data alone
	styleFinetune        // versions are fine-tuned from a base model, then from each other
	styleAdapter         // an adapter to a base model is trained, and merged with it
)

// A version is one model of a family, with the variants made of it.
type version struct {
	slot   int // its place in time, and in Fleet.versions
	family int
	number int // in the family, from 1
	style  uint8
	fate   uint8
	depth  int16 // versions before it in its chain
	// What it was made from; -1: nothing of that kind.
	base, parent, other, data int
	bits                      []int // of the quantised variants

	adapter, model attest.Digest // adapter is zero but for styleAdapter
	variants       []attest.Digest
}

// release returns the artifact that is offered: the first variant, or the model.
func (v *version) release() attest.Digest {
	if len(v.variants) > 0 {
		return v.variants[0]
	}
	return v.model
}

// A family is what the plan remembers of one while it goes through time.
type family struct {
	style      uint8
	base, data int
	last       int // its newest version; -1: none
	count      int
}

// counts is how many there are of what versions are made from.
func (f *Fleet) counts() (bases, raws, data, families int) {
	n := f.config.Versions
	return max(3, n/200), max(4, n/100), 2 + max(2, n/8), max(2, n/20)
}

func (f *Fleet) plan() {
	bases, raws, data, families := f.counts()
	for i := range bases {
		f.bases = append(f.bases, base{name: baseName(i)})
	}
	for i := range raws {
		f.raws = append(f.raws, raw{name: rawName(i)})
	}
	f.planData(raws, data)
	f.planVersions(families)
}

func (f *Fleet) planData(raws, n int) {
	r := f.chance("data", 0)
	popular := newZipf(raws - 1)
	for i := range n {
		p := prepared{slot: max(-1, (i-4)*8)}
		if i < 4 { // two for special purposes, two to begin with
			p.slot = -1
		}
		if i == hotIndex {
			p.raws = []int{hotIndex}
		} else {
			for range 1 + r.IntN(3) {
				// Nobody else touches the hot set, or its descendants could not be counted.
				if w := 1 + popular.among(r, raws-1); !contains(p.raws, w) {
					p.raws = append(p.raws, w)
				}
			}
		}
		f.data = append(f.data, p)
	}
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// The purposes of slots.
const (
	slotPlain = iota
	slotChain
	slotHot
)

// slots says what each version in time is for.
func (f *Fleet) slots(r *rand.Rand) []uint8 {
	out := make([]uint8, f.config.Versions)
	for i := range f.config.Chain {
		out[i] = slotChain
	}
	for i := range f.hotVersions() {
		out[f.config.Chain+i] = slotHot
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// hotVersions returns how many versions Config.Hot takes. Every third of them has a
// variant.
func (f *Fleet) hotVersions() int {
	n := 0
	for left := f.config.Hot - hotData; left > 0; n++ {
		left -= 1 + f.hotVariants(n, left)
	}
	return n
}

// hotVariants returns how many variants the n-th hot version has, if so many
// artifacts are still to be made, itself included.
func (f *Fleet) hotVariants(n, left int) int {
	if n%3 == 0 && left > 1 {
		return 1
	}
	return 0
}

func (f *Fleet) planVersions(plain int) {
	r := f.chance("versions", 0)
	slots := f.slots(r)
	hot := (f.hotVersions() + hotFamily - 1) / hotFamily
	families := make([]family, plain+hot+1)
	byBase := newZipf(len(f.bases))
	for i := range families {
		families[i] = family{last: -1, data: -1, base: -1, style: styleFinetune}
		if x := r.IntN(100); i < plain && x < 30 {
			families[i].style = styleScratch
		} else if i < plain && x < 45 {
			families[i].style = styleAdapter
		}
		if families[i].style != styleScratch {
			families[i].base = byBase.among(r, len(f.bases))
		}
	}
	popular := newZipf(max(plain, len(f.data)))
	hots, left := 0, f.config.Hot-hotData
	for slot, purpose := range slots {
		v := version{slot: slot, base: -1, parent: -1, other: -1}
		switch purpose {
		case slotChain:
			v.family = plain + hot
			v.data = chainData
		case slotHot:
			v.family = plain + hots/hotFamily
			v.data = hotIndex
			v.bits = []int{8, 4}[:f.hotVariants(hots, left)]
			left -= 1 + len(v.bits)
			hots++
		default:
			v.family = popular.among(r, plain)
			v.data = f.pickData(r, &families[v.family], slot, popular)
			v.bits = []int{8, 4}[:[]int{0, 0, 0, 0, 0, 1, 1, 1, 1, 2}[r.IntN(10)]]
		}
		f.join(r, &v, &families[v.family], slots)
		if purpose == slotChain {
			f.chain = append(f.chain, slot)
		}
		f.versions = append(f.versions, v)
	}
}

// pickData chooses what a family's next version is trained on: mostly what the last
// one was, otherwise the newest data, or what is popular.
func (f *Fleet) pickData(r *rand.Rand, fam *family, slot int, popular zipf) int {
	if fam.data >= 0 && r.IntN(100) < 85 {
		return fam.data
	}
	n := min(len(f.data), 4+(slot+7)/8) // made before this slot
	fam.data = n - 1
	if r.IntN(2) == 0 {
		fam.data = 2 + popular.among(r, n-2)
	}
	return fam.data
}

// join makes v the next version of its family.
func (f *Fleet) join(r *rand.Rand, v *version, fam *family, slots []uint8) {
	fam.count++
	v.number, v.style = fam.count, fam.style
	chain := slots[v.slot] == slotChain
	fresh := r.IntN(8) == 0
	switch {
	case fam.style == styleScratch:
	case fam.style == styleAdapter, fam.last < 0, !chain && (fresh || int(f.versions[fam.last].depth) >= MaxDepth):
		v.base = fam.base
	default:
		v.parent = fam.last
		v.depth = f.versions[fam.last].depth + 1
		if slots[v.slot] == slotPlain && r.IntN(25) == 0 {
			v.other = f.partner(r, v, fam.base, slots)
		}
	}
	if v.other >= 0 {
		v.depth = max(v.depth, f.versions[v.other].depth+1)
	}
	fam.last = v.slot
	switch x := r.IntN(1000); {
	case chain && v.number%chainReleases != 0 && v.number != f.config.Chain:
		v.fate = fateStep
	case x < 33:
		v.fate = fateBad
	case x < 80:
		v.fate = fateWaiting
	case x < 90:
		v.fate = fateRejected
	}
}

// partner finds an earlier version to merge v with, of another family with the same
// base model; -1 if none turns up.
func (f *Fleet) partner(r *rand.Rand, v *version, base int, slots []uint8) int {
	for range 16 {
		if len(f.versions) == 0 {
			break
		}
		i := r.IntN(len(f.versions))
		w := &f.versions[i]
		if slots[i] == slotPlain && w.family != v.family && w.style == styleFinetune && w.depth < MaxDepth && f.baseOf(i) == base {
			return i
		}
	}
	return -1
}

// baseOf returns the base model that a version goes back to along its parents. The
// single chain is never asked about, and others are at most MaxDepth long.
func (f *Fleet) baseOf(i int) int {
	for f.versions[i].parent >= 0 {
		i = f.versions[i].parent
	}
	return f.versions[i].base
}

func baseName(i int) string {
	orgs := [...]string{"openweights", "northwind", "polyglot", "lighthouse"}
	birds := [...]string{"tern", "heron", "swift", "plover", "dipper", "kestrel", "wren", "avocet"}
	sizes := [...]string{"1b", "7b", "13b", "70b"}
	name := fmt.Sprintf("%s/%s-%s", orgs[i%len(orgs)], birds[i%len(birds)], sizes[i/len(birds)%len(sizes)])
	if n := i / 32; n > 0 {
		name += fmt.Sprintf("-v%d", n+1)
	}
	return name
}

func rawName(i int) string {
	topics := [...]string{"support-tickets", "web-crawl", "claims", "transactions", "reviews", "sensor-logs", "contracts", "dialogues"}
	return fmt.Sprintf("%s-%03d", topics[i%len(topics)], i)
}

// team returns the team of a version's family.
func (f *Fleet) team(v *version) int { return v.family % f.config.Teams }

func (f *Fleet) familyName(v *version) string {
	words := [...]string{"credit", "fraud", "triage", "search", "summaries", "forecast", "vision", "assistant"}
	return fmt.Sprintf("%s-%03d", words[v.family%len(words)], v.family)
}

func (f *Fleet) tag(v *version) string { return fmt.Sprintf("%s-v%d", f.familyName(v), v.number) }

// Where things are kept.
func (f *Fleet) repository(v *version) attest.Repository {
	return repositoryAt("team-%02d/models", f.team(v))
}
func dataRepository() attest.Repository { return repositoryAt("data/sets") }
func baseRepository() attest.Repository { return repositoryAt("mirror/bases") }
