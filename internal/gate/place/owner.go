package place

import (
	"regexp"
	"strconv"
	"strings"
)

// Owner returns kind and name of the outermost object that is known to own obj, so that
// the pods that one Deployment makes, one after the other, are one thing in records and
// reports; obj's own if nobody is known to own it. name is "" if nothing gives one.
//
// It follows the reference to the controller, and goes one step further where names show
// it: of the ReplicaSet web-6d4f8b9c, whose pods carry the label pod-template-hash
// 6d4f8b9c, to the Deployment web, and of the Job report-29398210 to the CronJob report.
// Of an object that has a name made for it, of web-x7k2d from web-, the name is what it was
// made from: whoever makes a hundred of them has one thing.
//
// All of this is what the object says of itself. It names, and nothing is decided by it.
// An owner whose kind or name no object could have is none: the API server takes any text
// there.
func Owner(obj map[string]any) (kind, name string) {
	meta, _ := obj["metadata"].(map[string]any)
	kind, _ = obj["kind"].(string)
	name, _ = meta["name"].(string)
	generated, _ := meta["generateName"].(string)
	if stem := strings.TrimRight(generated, "-."); stem != "" && (name == "" || made(name, generated)) {
		name = stem
	}
	if k, n := controller(meta); k != "" {
		kind, name = k, n
	}
	switch kind {
	case "ReplicaSet":
		labels, _ := meta["labels"].(map[string]any)
		hash, _ := labels["pod-template-hash"].(string)
		if deployment, ok := strings.CutSuffix(name, "-"+hash); ok && hash != "" && deployment != "" {
			return "Deployment", deployment
		}
	case "Job":
		if cron, ok := scheduled(name); ok {
			return "CronJob", cron
		}
	}
	return kind, name
}

// controller returns the one owner that is said to control the object.
func controller(meta map[string]any) (kind, name string) {
	refs, _ := meta["ownerReferences"].([]any)
	for _, r := range refs {
		ref, _ := r.(map[string]any)
		if is, _ := ref["controller"].(bool); !is {
			continue
		}
		kind, _ = ref["kind"].(string)
		name, _ = ref["name"].(string)
		if isKind.MatchString(kind) && isName.MatchString(name) {
			return kind, name
		}
	}
	return "", ""
}

// isKind and isName are what kinds and names of objects are at the most.
var (
	isKind = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`)
	isName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,253}$`)
)

// made reports whether the API server made a name from generateName: as much of it as
// leaves room in 63 bytes, and five more.
func made(name, generateName string) bool {
	const most, random = 58, 5
	base := generateName[:min(len(generateName), most)]
	return strings.HasPrefix(name, base) && len(name) == len(base)+random && !strings.ContainsAny(name[len(base):], "-.")
}

// scheduled returns the name of the CronJob that makes Jobs of this name: it appends the
// minutes since 1970. Other numbers at the end, such as dates, are the Job's own name.
func scheduled(job string) (cron string, ok bool) {
	i := strings.LastIndexByte(job, '-')
	if i <= 0 {
		return "", false
	}
	const from, to = 26_000_000, 60_000_000 // 2019, before which no CronJob named its Jobs so, to 2084
	n, err := strconv.Atoi(job[i+1:])
	if err != nil || n < from || n > to {
		return "", false
	}
	return job[:i], true
}
