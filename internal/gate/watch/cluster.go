package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// A Cluster is an API server as the watcher needs it.
type Cluster interface {
	// Served returns which resource of the API is a kind, in each version that it has:
	// with a version in gvk only that. None if the server does not serve it, or not to
	// be listed and watched.
	Served(ctx context.Context, gvk schema.GroupVersionKind) ([]Resource, error)
	// Objects lists and watches.
	Objects() dynamic.Interface
}

// A Resource is where objects of a kind are listed.
type Resource struct {
	schema.GroupVersionResource
	Kind schema.GroupVersionKind
}

// server is a real API server.
type server struct {
	raw     rest.Interface
	objects dynamic.Interface
}

// Connect prepares the use of a cluster. It asks nobody anything.
//
// The discovery client of client-go would do more than the few questions here, and costs
// every start of the program the registration of all types of Kubernetes.
func Connect(c *rest.Config) (Cluster, error) {
	c = rest.CopyConfig(c)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.GroupVersion = &schema.GroupVersion{}
	raw, err := rest.UnversionedRESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	objects, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return &server{raw, objects}, nil
}

func (s *server) Objects() dynamic.Interface { return s.objects }

func (s *server) Served(ctx context.Context, gvk schema.GroupVersionKind) ([]Resource, error) {
	versions := []string{gvk.Version}
	switch {
	case gvk.Version != "":
	case gvk.Group == "":
		versions = []string{"v1"} // the core group has no other, and no list of them
	default:
		var group metav1.APIGroup
		if err := s.get(ctx, "/apis/"+gvk.Group, &group); absent(err) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		versions = nil
		for _, v := range group.Versions {
			versions = append(versions, v.Version)
		}
	}
	var out []Resource
	for _, v := range versions {
		path := "/apis/" + gvk.Group + "/" + v
		if gvk.Group == "" {
			path = "/api/" + v
		}
		var list metav1.APIResourceList
		if err := s.get(ctx, path, &list); absent(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if r.Kind == gvk.Kind && !strings.Contains(r.Name, "/") && slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
				at := schema.GroupVersion{Group: gvk.Group, Version: v}
				out = append(out, Resource{at.WithResource(r.Name), at.WithKind(r.Kind)})
			}
		}
	}
	return out, nil
}

// maxDiscovery bounds an answer about what is served; Kubernetes' longest has some 40 kB.
const maxDiscovery = 4 << 20

func (s *server) get(ctx context.Context, path string, v any) error {
	b, err := s.raw.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return err
	}
	if len(b) > maxDiscovery {
		return errors.New("the API server's answer is too long")
	}
	return json.Unmarshal(b, v)
}

// absent reports whether an API server says that it does not serve something.
func absent(err error) bool { return apierrors.IsNotFound(err) }
