package place

import (
	"strings"
	"testing"
)

func TestOwner(t *testing.T) {
	for _, tt := range []struct{ name, object, kind, owner string }{
		{"itself", "{kind: Pod, metadata: {name: a}}", "Pod", "a"},
		{"no name yet", "{kind: Pod, metadata: {generateName: a-b-}}", "Pod", "a-b"},
		{"of a deployment", "{kind: Pod, metadata: {generateName: web-6d4f8b9c-, labels: {pod-template-hash: 6d4f8b9c}, ownerReferences: [{kind: ReplicaSet, name: web-6d4f8b9c, controller: true}]}}", "Deployment", "web"},
		{"of a replica set", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: ReplicaSet, name: web-6d4f8b9c, controller: true}]}}", "ReplicaSet", "web-6d4f8b9c"},
		{"of a replica set with another's label", "{kind: Pod, metadata: {name: a, labels: {pod-template-hash: x}, ownerReferences: [{kind: ReplicaSet, name: web-6d4f8b9c, controller: true}]}}", "ReplicaSet", "web-6d4f8b9c"},
		{"replica set", "{kind: ReplicaSet, metadata: {name: web-1, labels: {pod-template-hash: '1'}, ownerReferences: [{kind: Deployment, name: web, controller: true}]}}", "Deployment", "web"},
		{"hash alone", "{kind: Pod, metadata: {labels: {pod-template-hash: '1'}, ownerReferences: [{kind: ReplicaSet, name: '-1', controller: true}]}}", "ReplicaSet", "-1"},
		{"of a stateful set", "{kind: Pod, metadata: {name: db-0, ownerReferences: [{kind: StatefulSet, name: db, controller: true}]}}", "StatefulSet", "db"},
		{"of a cron job", "{kind: Pod, metadata: {name: r, ownerReferences: [{kind: Job, name: report-29398210, controller: true}]}}", "CronJob", "report"},
		{"job of a cron job", "{kind: Job, metadata: {name: report-29398210, ownerReferences: [{kind: CronJob, name: report, controller: true}]}}", "CronJob", "report"},
		{"of a job with a date", "{kind: Pod, metadata: {name: r, ownerReferences: [{kind: Job, name: report-20261124, controller: true}]}}", "Job", "report-20261124"},
		{"of a job with a number", "{kind: Pod, metadata: {name: r, ownerReferences: [{kind: Job, name: report-7, controller: true}]}}", "Job", "report-7"},
		{"owned and not controlled", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: Deployment, name: web}]}}", "Pod", "a"},
		{"second owner controls", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: X, name: x}, {kind: DaemonSet, name: d, controller: true}]}}", "DaemonSet", "d"},
		{"name made for it", "{kind: Pod, metadata: {name: web-x7k2d, generateName: web-}}", "Pod", "web"},
		{"long name made for it", "{kind: Pod, metadata: {name: " + strings.Repeat("a", 58) + "x7k2d, generateName: " + strings.Repeat("a", 70) + "-}}", "Pod", strings.Repeat("a", 70)},
		{"another name than was made", "{kind: Pod, metadata: {name: credit, generateName: web-}}", "Pod", "credit"},
		{"longer than was made", "{kind: Pod, metadata: {name: web-x7k2d-2, generateName: web-}}", "Pod", "web-x7k2d-2"},
		{"owner of a kind that is none", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: …, name: x, controller: true}]}}", "Pod", "a"},
		{"owner with a path", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: X, name: b/c, controller: true}]}}", "Pod", "a"},
		{"owner of a kind with a path", "{kind: Pod, metadata: {name: a, ownerReferences: [{kind: X/Y, name: b, controller: true}]}}", "Pod", "a"},
		{"wrong types", "{kind: 7, metadata: {name: [a], labels: x, ownerReferences: [7, {kind: 1, name: 2, controller: true}, {controller: yes please}]}}", "", ""},
		{"nothing", "{}", "", ""},
	} {
		obj, _ := object(t, tt.object)
		if kind, name := Owner(obj); kind != tt.kind || name != tt.owner {
			t.Errorf("%s: %s %s, want %s %s", tt.name, kind, name, tt.kind, tt.owner)
		}
	}
}
