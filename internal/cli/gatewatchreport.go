package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pedigree-ml/pedigree/internal/gate/watch"
)

// notWatched is what a report of what runs does not say.
const notWatched = `What this does not say
  It names what objects say is run, and of containers what the kubelet says was started.
  What a program fetches by itself, what a node runs without the API server knowing, and
  kinds that are not configured are not looked at.
  An owner is who an object says owns it. Nothing was stopped or changed.
`

// watchText writes a report for people, the worst first in each namespace.
func watchText(out io.Writer, r *watch.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Gate)
	if r.Cluster != "" {
		fmt.Fprintf(&b, " in %s", r.Cluster)
	}
	fmt.Fprintf(&b, " at %s: %s", r.At.Format(time.RFC3339), plural(len(r.Workloads), "workload"))
	for _, result := range watch.Results() {
		if n := r.Counts[result.String()]; n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, result)
		}
	}
	b.WriteString("\n")
	for _, p := range r.Policies {
		fmt.Fprintf(&b, "policy %s %s\n", p.Name, p.Policy)
	}
	sorted := slices.Clone(r.Workloads)
	slices.SortStableFunc(sorted, func(x, y watch.Workload) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Result, y.Result))
	})
	for i, l := range sorted {
		if i == 0 || sorted[i-1].Namespace != l.Namespace {
			namespaceLine(&b, l)
		}
		workloadLines(&b, l)
	}
	if len(r.Workloads) == 0 {
		b.WriteString("\nNothing was found that names a model or an image.\n")
	}
	if r.Waiting > 0 {
		fmt.Fprintf(&b, "\n%s still waited for an answer.\n", plural(r.Waiting, "workload"))
	}
	gapLines(&b, r.Gaps)
	b.WriteString("\n" + notWatched)
	_, err := io.WriteString(out, b.String())
	return err
}

func namespaceLine(b *strings.Builder, l watch.Workload) {
	b.WriteString("\n" + cmp.Or(l.Namespace, "(cluster)"))
	if l.Rule != "" {
		fmt.Fprintf(b, "  rule %s (%s)", l.Rule, l.Mode)
	}
	b.WriteString("\n")
}

func workloadLines(b *strings.Builder, l watch.Workload) {
	fmt.Fprintf(b, "  %-12s %s/%s\n", l.Result, l.Kind, l.Name)
	for _, r := range l.References {
		b.WriteString("    ")
		if r.Result != l.Result {
			fmt.Fprintf(b, "%s  ", r.Result)
		}
		b.WriteString(strings.TrimSpace(r.Place + "  " + shortened(r.Text)))
		if a := r.Artifact; !a.IsZero() && !strings.Contains(r.Text, a.String()) {
			b.WriteString("  " + shortened(a.String()))
		}
		b.WriteString("\n")
		if why := strings.TrimSpace(string(r.Code) + " " + r.Why); why != "" {
			fmt.Fprintf(b, "      %s\n", why)
		}
		if r.Next != "" && r.Result != watch.Accepted {
			fmt.Fprintf(b, "      next: %s\n", r.Next)
		}
	}
	if l.More > 0 {
		fmt.Fprintf(b, "    and %d more\n", l.More)
	}
}

// shortened leaves of a digest at the end of a text what tells it from others.
func shortened(s string) string {
	const keep = len("sha256:") + 12
	if i := strings.LastIndex(s, "sha256:"); i >= 0 && len(s)-i > keep {
		return s[:i+keep] + "…"
	}
	return s
}

// gapLines tells what could not be looked at, one line for each reason.
func gapLines(b *strings.Builder, gaps []watch.Gap) {
	if len(gaps) == 0 {
		return
	}
	var order []string
	by := map[string][]string{}
	for _, g := range gaps {
		if by[g.Why] == nil {
			order = append(order, g.Why)
		}
		by[g.Why] = append(by[g.Why], g.Resource)
	}
	b.WriteString("\nNot looked at, so there may be more\n")
	for _, why := range order {
		fmt.Fprintf(b, "  %s: %s\n", strings.Join(by[why], ", "), why)
	}
}
