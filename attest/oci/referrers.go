package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/pedigree-ml/pedigree/attest"
)

// indexAttempts is how often a fallback index is written again after somebody
// else's writing lost our entry.
const indexAttempts = 4

// listingJSON is what is read of an index of referrers. It is a list of hints:
// each manifest is fetched and read strictly before anything is made of it.
type listingJSON struct {
	MediaType    string `json:"mediaType"`
	Digest       string `json:"digest"`
	ArtifactType string `json:"artifactType"`
}

func candidatesOf(b []byte) (out []candidate, err error) {
	err = eachEntry(b, "manifests", func(raw json.RawMessage) error {
		var m listingJSON
		if err := json.Unmarshal(raw, &m); err != nil {
			return err
		}
		d, err := attest.ParseDigest(m.Digest)
		if m.MediaType == attest.MediaTypeIndex {
			return nil // an index holds no bundle
		}
		if err != nil || d.IsCommit() {
			if strings.HasPrefix(m.ArtifactType, bundleTypePrefix) {
				out = append(out, candidate{err: attest.Refuse(attest.CodeDigestAlg, "an attestation is listed as %.100q, a digest that nobody here computes", m.Digest)})
			}
			return nil
		}
		out = append(out, candidate{digest: d, artifactType: m.ArtifactType})
		return nil
	})
	return out, err
}

// malformed keeps a limit's own code.
func malformed(code attest.Code, about, why string, err error) error {
	if attest.RefusalCode(err) != "" {
		return err
	}
	return &attest.Refusal{Code: code, About: about, Why: why, Err: err}
}

func (r *registry) referrers(ctx context.Context, subject attest.Digest, _ bool) ([]candidate, error) {
	return r.unite(ctx, subject, func() tagList {
		// The tag right before those of interest, in the order that registries should
		// list in.
		return r.listTags(ctx, fallbackTag(subject))
	})
}

// unite lists by the referrers API, by the fallback index and by the attestations'
// own tags, which it looks for in what list returns meanwhile, and unites what they give: a
// registry that has the API today may not have had it when something was attached,
// and a proxy may answer for one that has not.
func (r *registry) unite(ctx context.Context, subject attest.Digest, list func() tagList) ([]candidate, error) {
	listed := make(chan tagList, 1)
	go func() { listed <- list() }()
	out, ok, err := r.fromAPI(ctx, subject)
	tags := <-listed
	var indexErr error
	if !tags.ruleOut(fallbackTag(subject), ok && err == nil) {
		var indexed []candidate
		indexed, indexErr = r.fromIndex(ctx, subject)
		out = append(out, indexed...)
	}
	tagged, tagsErr := r.fromTags(ctx, subject, tags, out)
	if ok && err == nil && withheld(tagsErr) {
		// A registry with the API may grant nobody its list of tags (some do, to all
		// who may only pull); every verdict about it would be undecided. Only the
		// plain refusal is passed over: a list that cannot be had just now is a gap.
		tagsErr = nil
	}
	return append(out, tagged...), errors.Join(err, indexErr, tagsErr)
}

// errNoTags is wrapped where a repository is there and says that it has no list of
// tags.
var errNoTags = errors.New("there is no list of tags")

// withheld reports whether a registry answered, definitely, that the list of tags
// is not for the caller.
func withheld(err error) bool {
	var te *transport.Error
	if errors.As(err, &te) {
		return te.StatusCode == http.StatusUnauthorized || te.StatusCode == http.StatusForbidden // of the token, for want of a right
	}
	return errors.Is(err, errDenied) || errors.Is(err, errNoTags)
}

// fromAPI asks the referrers API (distribution specification, "Listing
// Referrers"); ok is false if the registry has none. No filter is sent: what a
// registry takes for the artifact type differs, and a filter could hide.
func (r *registry) fromAPI(ctx context.Context, subject attest.Digest) (out []candidate, ok bool, err error) {
	first := request{method: http.MethodGet, url: r.path("/referrers/%s", subject), header: http.Header{"Accept": {attest.MediaTypeIndex}}}
	p := r.pages(first)
	for p.next(ctx, http.StatusNotFound, http.StatusMethodNotAllowed) {
		if p.status != http.StatusOK {
			if r.hasAPI.Load() || len(p.seen) > 1 {
				// An API that was there and is not any more is out of order; the
				// fallback was never written, so looking there would find nothing.
				return out, true, &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: fmt.Sprintf("the referrers API answered before, and now %d", p.status)}
			}
			return nil, false, nil
		}
		// A registry must answer with an index (same section). Anything else with
		// status 200 is something else's answer, not an empty list.
		if mt, _, err := mime.ParseMediaType(p.header.Get("Content-Type")); err != nil || mt != attest.MediaTypeIndex {
			return out, true, &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: fmt.Sprintf("the referrers API answered with %.100q, not an index", p.header.Get("Content-Type"))}
		}
		page, err := candidatesOf(p.body)
		out = append(out, page...)
		if err != nil {
			return out, true, malformed(attest.CodeRegUnavailable, r.repo.Name(), "the referrers API answered with a malformed index", err)
		}
		r.hasAPI.Store(true)
	}
	return out, true, p.err
}

// fromIndex reads the index under the fallback tag. Some registries answer that
// tag with the subject itself, which lists nothing.
func (r *registry) fromIndex(ctx context.Context, subject attest.Digest) ([]candidate, error) {
	b, err := r.getManifest(ctx, fallbackTag(subject))
	if errors.Is(err, attest.ErrAbsent) || err == nil && attest.SHA256(b) == subject {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := candidatesOf(b)
	if err != nil {
		return out, malformed(attest.CodeRegManifest, fallbackTag(subject), "not an index", err)
	}
	return out, nil
}

// fromTags finds the attestations' own tags in a list, leaving out those that known
// has.
func (r *registry) fromTags(ctx context.Context, subject attest.Digest, list tagList, known []candidate) ([]candidate, error) {
	prefix := fallbackTag(subject) + "."
	have := map[string]bool{}
	for _, c := range known {
		if c.err == nil {
			have[uniqueTag(subject, c.digest)] = true
		}
	}
	err := list.err
	if err == nil && !list.found {
		// "There is no such repository", says the registry. If it holds the subject
		// all the same, there is one whose tags nobody may see.
		switch _, merr := r.manifest(ctx, subject); {
		case merr == nil:
			err = &attest.Refusal{Code: attest.CodeRegUnavailable, About: r.repo.Name(), Why: "holds " + subject.String() + " and does not list its tags", Err: errNoTags}
		case !errors.Is(merr, attest.ErrAbsent):
			err = merr
		}
	}
	var out []candidate
	for _, t := range list.under(prefix) {
		if len(t) == len(prefix)+32 && IsOwnTag(t) && !have[t] {
			have[t] = true
			out = append(out, candidate{tag: t})
		}
	}
	return out, err
}

func (r *registry) tags(ctx context.Context) ([]string, error) {
	list := r.listTags(ctx, "")
	return list.tags, list.err
}

// listTags lists the tags behind last, or more. It reads to the end, though a list
// in order could be left behind the last tag of interest: some registries list in
// no order, and half a list looks like an ordered one. Registries may ignore n and
// last, and one answers 404 if there is no tag called last: so 404 means that there
// is no such repository only when nothing else was asked for.
func (r *registry) listTags(ctx context.Context, last string) tagList {
	u := r.path("/tags/list?n=1000")
	if last != "" {
		u = r.path("/tags/list?n=1000&last=%s", url.QueryEscape(last))
	}
	tags, first, err := r.tagPages(ctx, u, http.StatusNotFound, http.StatusBadRequest)
	if first != http.StatusOK && err == nil {
		// Once more without parameters: now 404 means that there is no repository.
		tags, first, err = r.tagPages(ctx, r.path("/tags/list"), http.StatusNotFound)
	}
	slices.Sort(tags)
	return tagList{tags: tags, found: first == http.StatusOK, err: err, from: last}
}

// tagPages reads all pages from u on. first is the status of the first answer.
func (r *registry) tagPages(ctx context.Context, u string, alsoWant ...int) (out []string, first int, err error) {
	p := r.pages(request{method: http.MethodGet, url: u})
	for p.next(ctx, alsoWant...) {
		if p.status != http.StatusOK {
			if len(p.seen) > 1 {
				return out, first, attest.Refuse(attest.CodeRegUnavailable, "%s: the list of tags breaks off with %d", r.repo.Name(), p.status)
			}
			return nil, p.status, nil
		}
		first = p.status
		err := errors.Join(notAPage(p.resp), eachEntry(p.body, "tags", func(raw json.RawMessage) error {
			var tag string
			if err := json.Unmarshal(raw, &tag); err != nil {
				return err
			}
			out = append(out, tag)
			return nil
		}))
		if err != nil {
			return out, first, malformed(attest.CodeRegUnavailable, r.repo.Name(), "the list of tags is malformed", err)
		}
	}
	return out, first, p.err
}

// A pager follows the pages of a listing (RFC 8288 links with rel="next").
type pager struct {
	r      *registry
	req    request
	seen   map[string]bool
	total  int64
	resp   *http.Response
	status int
	header http.Header
	body   []byte
	err    error
}

func (r *registry) pages(first request) *pager {
	return &pager{r: r, req: first, seen: map[string]bool{}}
}

// next fetches a page; alsoWant are statuses that the caller understands besides
// 200, and after which there is no further page.
func (p *pager) next(ctx context.Context, alsoWant ...int) bool {
	if p.req.url == "" || p.err != nil {
		return false
	}
	switch {
	case p.seen[p.req.url]:
		p.err = &attest.Refusal{Code: attest.CodeLimit, About: p.r.repo.Name(), Why: "the pages of a listing lead back to one already read"}
		return false
	case len(p.seen) == maxPages:
		p.err = &attest.Refusal{Code: attest.CodeLimit, About: p.r.repo.Name(), Why: fmt.Sprintf("a listing of more than %d pages", maxPages)}
		return false
	}
	p.seen[p.req.url] = true
	ctx, cancel := context.WithTimeout(ctx, smallRead)
	defer cancel()
	resp, err := p.r.do(ctx, p.req, append(alsoWant, http.StatusOK)...)
	if err != nil {
		p.err = err
		return false
	}
	defer resp.Body.Close()
	p.resp, p.status, p.header = resp, resp.StatusCode, resp.Header
	if p.body, err = readAll(resp.Body, maxListing-p.total, "a listing"); err != nil {
		p.err = p.r.unavailable(p.req, err)
		return false
	}
	p.total += int64(len(p.body))
	p.req.url = ""
	if link := nextLink(resp.Header); link != "" && p.status == http.StatusOK {
		p.req.url, p.err = follow(resp.Request.URL, link)
	}
	return true
}

// follow resolves a link to the next page. It must stay at the registry, which
// would otherwise send us, and what we are told, anywhere.
func follow(from *url.URL, link string) (string, error) {
	to, err := from.Parse(link)
	if err != nil || !sameOrigin(from, to) || to.User != nil || !strings.HasPrefix(to.Path, "/v2/") {
		return "", &attest.Refusal{Code: attest.CodeRegRedirect, About: from.Host, Why: "the next page of a listing is said to be elsewhere"}
	}
	return to.String(), nil
}

// nextLink returns the target of the link with rel="next". Targets stand between
// angle brackets and may contain commas, so headers are not split at those.
func nextLink(h http.Header) string {
	for _, v := range h.Values("Link") {
		for {
			_, rest, ok := strings.Cut(v, "<")
			if !ok {
				break
			}
			target, after, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			params, next, _ := strings.Cut(after, "<")
			v = "<" + next
			for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
				k, rel, _ := strings.Cut(strings.TrimSpace(param), "=")
				if strings.EqualFold(k, "rel") && slices.Contains(strings.Fields(strings.Trim(rel, `"`)), "next") {
					return target
				}
			}
			if next == "" {
				break
			}
		}
	}
	return ""
}

// putReferrer stores an attestation's manifest. Where the answer does not say
// that the registry will list it, it is stored once more under its own tag, which
// no other writer touches, and entered into the fallback index for other tools.
func (r *registry) putReferrer(ctx context.Context, doc document, subject attest.Digest) error {
	h, err := r.put(ctx, doc, doc.digest.String())
	if err != nil {
		return err
	}
	if h.Get("OCI-Subject") == subject.String() {
		return nil
	}
	if _, err := r.put(ctx, doc, uniqueTag(subject, doc.digest)); err != nil {
		return err
	}
	return r.enterIndex(ctx, doc, subject)
}

// enterIndex adds an entry to the fallback index: read, add, write, look. Other
// writers may overwrite it in between, and registries have nothing against that,
// so it is tried a few times and then left, whatever is in the way: the
// attestation's own tag keeps it, and the index serves tools that know no better.
// Only the caller's giving up is an error.
func (r *registry) enterIndex(ctx context.Context, doc document, subject attest.Digest) error {
	wait := 10 * time.Millisecond
	for range indexAttempts {
		if done := r.tryIndex(ctx, doc, subject); done {
			return nil
		}
		if err := sleep(ctx, wait+rand.N(wait)); err != nil {
			return &attest.Refusal{Code: attest.CodeInterrupted, About: r.repo.Name(), Err: err}
		}
		wait *= 2
	}
	return nil
}

// tryIndex reports whether the entry is in the index, or can never be.
func (r *registry) tryIndex(ctx context.Context, doc document, subject attest.Digest) (done bool) {
	b, err := r.getManifest(ctx, fallbackTag(subject))
	switch {
	case errors.Is(err, attest.ErrAbsent):
		b = nil
	case err != nil:
		return false
	case attest.SHA256(b) == subject:
		return true // a registry that resolves the tag to the subject keeps no index
	}
	next, err := withEntry(b, doc)
	if err != nil || next == nil || len(next) > attest.MaxManifest {
		return true // not an index; in it; or full, at about 9,000 entries
	}
	_, _ = r.put(ctx, newDocument(next, attest.MediaTypeIndex), fallbackTag(subject))
	return false // look whether it stayed
}

// withEntry returns the fallback index b, which may be empty, with doc added; nil
// if it is in it. Entries of others stay as they are.
func withEntry(b []byte, doc document) ([]byte, error) {
	x := &index{top: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + attest.MediaTypeIndex + `"`),
	}}
	if len(b) > 0 {
		var err error
		if x, err = parseIndex(b); err != nil {
			return nil, &attest.Refusal{Code: attest.CodeRegManifest, About: attest.SHA256(b).String(), Why: "under the fallback tag is no index", Err: err}
		}
	}
	return x.with(doc, "", attest.Digest{})
}
