package place

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kserveSchemas returns the files of KServe's own definitions, of the version that the
// tests with a real API server use, which has its checksum. Where it is not and cannot
// be had, the test is skipped; a machine that is to check everything must not pass without.
func kserveSchemas(t *testing.T) []string {
	t.Helper()
	const folder = "../../../test/kube"
	text, err := os.ReadFile(folder + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`github\.com/kserve/kserve (v\S+)`).FindSubmatch(text)
	if version == nil {
		t.Fatalf("%s/go.mod does not name a version of KServe", folder)
	}
	var module struct{ Dir, Error string }
	download := exec.Command("go", "mod", "download", "-json", "github.com/kserve/kserve@"+string(version[1]))
	download.Dir = folder
	said, err := download.Output()
	if bad := json.Unmarshal(said, &module); bad != nil || module.Dir == "" {
		const why = "left out: the schemas of KServe, which cannot be downloaded: %v %s"
		if os.Getenv("CI") == "true" {
			t.Fatalf(why, err, module.Error)
		}
		t.Skipf(why, err, module.Error)
	}
	dir := filepath.Join(module.Dir, "config", "crd", "full")
	var files []string
	for _, pattern := range []string{"serving.*.yaml", "llmisvc/serving.*.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatalf("there are none in %s", dir)
	}
	return files
}

// crd is what is read of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPIV3Schema property `yaml:"openAPIV3Schema"`
			}
		}
	}
}

type property struct {
	Type       string
	Properties map[string]property
	Items      *property
	Additional *property `yaml:"additionalProperties"`
	Open       bool      `yaml:"x-kubernetes-preserve-unknown-fields"`
}

// leaves visits the texts below p as the function of that name does those of a Go type.
// What the schema leaves open is visited too.
func (p property) leaves(path string, visit func(path string)) {
	for name, q := range p.Properties {
		q.leaves(path+"."+name, visit)
	}
	if p.Items != nil {
		p.Items.leaves(path+"[]", visit)
	}
	if p.Additional != nil {
		p.Additional.leaves(path+"{}", visit)
	}
	name := strings.Trim(path[strings.LastIndexByte(path, '.')+1:], "[]{}")
	text := p.Type == "string" && (suspicious.MatchString(name) || strings.HasSuffix(path, ".env[].value") || strings.HasSuffix(path, "{}"))
	if text || p.Open || path != "" && p.Type == "" && p.Properties == nil && !strings.HasSuffix(path, "{}") {
		visit(path)
	}
}

// notInKServe are the suspicious texts of KServe's kinds that are not looked at, each with
// its reason, beside those that no pod's are. docs/gate-places.md repeats them.
func notInKServe() map[string]string {
	return map[string]string{
		".logger.url":                                  "where requests are written to",
		".logger.storage.parameters{}":                 "where requests are written to",
		".config{}":                                    "of an explainer: options of a program",
		".nodes{}.steps[].serviceUrl":                  "a service",
		".annotations{}":                               "only those that the configuration lists are read, and KServe's own",
		".pool.spec.selector{}":                        "chooses pods",
		".labels{}":                                    "chooses objects",
		".persistentVolumeSpec.rbd.image":              "a disk, which has no digest",
		".persistentVolumeSpec.azureDisk.diskURI":      "a disk, which has no digest",
		".persistentVolumeSpec.csi.volumeAttributes{}": "a disk, which has no digest",
		".persistentVolumeSpec.flexVolume.options{}":   "a disk, which has no digest",
	}
}

// openTexts are what KServe's schemas leave open and no text stands in: numbers, and
// whatever Kubernetes writes in two ways.
var openTexts = regexp.MustCompile(`(?i)(port|divisor|limits\{\}|requests\{\}|sizeLimit|maxUnavailable|maxSurge|value|averageValue|tolerance|used|modelSize|memory|storageLimit|capacity\{\}|overhead\{\})$`)

func TestEverySuspiciousFieldOfKServe(t *testing.T) {
	tab, kinds, seen, used := table(t), map[string]bool{}, 0, map[string]bool{}
	for _, file := range kserveSchemas(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var def crd
		if err := yaml.Unmarshal(text, &def); err != nil {
			t.Fatal(err)
		}
		for _, v := range def.Spec.Versions {
			gvk := gvk(def.Spec.Group, v.Name, def.Spec.Names.Kind)
			if _, known := tab.kinds[gvk]; !known {
				t.Errorf("KServe has %v, and the table has not", gvk)
				continue
			}
			kinds[gvk.String()] = true
			v.Schema.OpenAPIV3Schema.leaves("", func(path string) {
				if strings.HasPrefix(path, ".status") || openTexts.MatchString(path) && !strings.HasSuffix(path, ".env[].value") {
					return
				}
				excuse := excuseOf(path, notInKServe())
				used[excuse] = true
				if excuse == "" {
					excuse = excuseOf(path, notInPods())
				}
				switch found := sees(t, tab, gvk, path); {
				case found && excuse != "":
					t.Errorf("%s %s is found, and listed as not looked at", gvk.Kind, path)
				case found:
					seen++
				case excuse == "":
					t.Errorf("%s %s may name a model: look at it, or say in notInKServe why not", gvk.Kind, path)
				}
			})
		}
	}
	for _, k := range append(builtinKServe(), builtinNothing()...) {
		if k.Group == kserveGroup && !kinds[k.String()] {
			t.Errorf("the table has %v, and KServe has not", k.GroupVersionKind)
		}
	}
	for excuse := range notInKServe() {
		if !used[excuse] {
			t.Errorf("%s is listed as not looked at, and is not there", excuse)
		}
	}
	if seen < 100 {
		t.Errorf("%d fields seen: the test looked at nothing", seen)
	}
	t.Logf("%d fields of %d kinds are found", seen, len(kinds))
}
