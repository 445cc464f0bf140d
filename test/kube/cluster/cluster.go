// Package cluster runs a Kubernetes control plane for a test: etcd, the API server and,
// if it is asked for, the controller manager, all of them the released programs. There
// are no nodes, so nothing ever runs; what is tested is what gets in.
//
// Everything listens on free ports of 127.0.0.1, and ends with [Cluster.Close] and with
// the process. It takes about three seconds to start.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pedigree-ml/pedigree/internal/child"
	"github.com/pedigree-ml/pedigree/test/kube/servers"
)

// patience is how long a server may take to come up on a machine that has other things
// to do.
const patience = 2 * time.Minute

// admin is the name, and with "-token" the token, of who may do everything.
const admin = "admin"

// Options say what a cluster has. The zero Options are a control plane without
// controllers.
type Options struct {
	Programs *servers.Programs
	// Controllers starts the controller manager, without which a Deployment makes no pods.
	Controllers bool
	// Users are further users and the group that each is in. What they may do is for the
	// test to say: they begin with nothing.
	Users map[string]string
	// WebhookClient makes the API server show a certificate to webhooks, issued by the
	// cluster's authority in this name; "" for none.
	WebhookClient string
	// StaticManifests is a folder of webhook configurations that the API server has from
	// its first request on; "" for none.
	StaticManifests string
}

// A Cluster is a running control plane.
type Cluster struct {
	Programs   *servers.Programs
	Authority  *Authority
	Config     *rest.Config // of the administrator
	Kubeconfig string       // a file for the administrator
	AuditLog   string       // a file: one JSON event a line

	dir     string
	host    string
	options Options
	running []*child.Process
	tunnel  *tunnel
	server  struct {
		args    []string
		process *child.Process
	}
}

// Start runs a control plane.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Somebody else may take a port between our finding it and a server's listening there.
	var err error
	for range 3 {
		var c *Cluster
		if c, err = startOnce(ctx, o); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func startOnce(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{Programs: o.Programs, options: o}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "pedigree-kube-*"); err != nil {
		return err
	}
	if c.Authority, err = NewAuthority("cluster"); err != nil {
		return err
	}
	if c.tunnel, err = openTunnel(c.file("tunnel")); err != nil {
		return err
	}
	ports, err := child.FreePorts(4)
	if err != nil {
		return err
	}
	etcd := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if err := c.startEtcd(etcd, fmt.Sprintf("http://127.0.0.1:%d", ports[1])); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, etcd, ports[2]); err != nil {
		return err
	}
	if c.options.Controllers {
		if err := c.startControllers(ctx, ports[3]); err != nil {
			return err
		}
	}
	return nil
}

// Close stops everything, in the opposite order of its start.
func (c *Cluster) Close() error {
	for i := len(c.running) - 1; i >= 0; i-- {
		c.running[i].Stop()
	}
	c.running = nil
	if c.tunnel != nil {
		c.tunnel.srv.Close()
	}
	return os.RemoveAll(c.dir)
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) run(name, program string, args ...string) (*child.Process, error) {
	p, err := child.Start(exec.Command(program, args...), c.file(name+".log"))
	if err != nil {
		return nil, err
	}
	c.running = append(c.running, p)
	return p, nil
}

func (c *Cluster) startEtcd(client, peer string) error {
	_, err := c.run("etcd", c.Programs.Etcd, "--name=e", "--data-dir="+c.file("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=e="+peer)
	return err // the API server waits for it
}

func (c *Cluster) startAPIServer(ctx context.Context, etcd string, port int) error {
	pair, err := c.Authority.Issue(Request{Name: "kube-apiserver"})
	if err != nil {
		return err
	}
	cert, key, err := pair.Write(c.dir)
	if err != nil {
		return err
	}
	private, public, err := writeAccountKeys(c.dir)
	if err != nil {
		return err
	}
	tokens := admin + "-token," + admin + ",1,system:masters\n"
	for user, group := range c.options.Users {
		tokens += fmt.Sprintf("%s-token,%s,%s,%s\n", user, user, user, group)
	}
	c.AuditLog = c.file("audit.log")
	files := map[string]string{
		"egress.yaml": egress(c.file("tunnel")),
		"ca.crt":      string(c.Authority.PEM), "tokens.csv": tokens,
		// What a webhook says for the auditors arrives at this level.
		"audit.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata, verbs: [create, update, patch, delete]}]\n",
	}
	args := []string{"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + cert, "--tls-private-key-file=" + key, "--client-ca-file=" + c.file("ca.crt"), "--token-auth-file=" + c.file("tokens.csv"), "--cert-dir=" + c.dir,
		"--service-account-issuer=https://cluster.test", "--service-account-key-file=" + public, "--service-account-signing-key-file=" + private,
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
		"--anonymous-auth=false", "--allow-privileged=true", "--egress-selector-config-file=" + c.file("egress.yaml"),
		"--audit-policy-file=" + c.file("audit.yaml"), "--audit-log-path=" + c.AuditLog, "--audit-log-mode=blocking"}
	if c.options.WebhookClient != "" || c.options.StaticManifests != "" {
		if err := c.admission(files); err != nil {
			return err
		}
		args = append(args, "--admission-control-config-file="+c.file("admission.yaml"))
	}
	for name, content := range files {
		if err := os.WriteFile(c.file(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	c.server.args = args
	p, err := c.run("kube-apiserver", c.Programs.APIServer, args...)
	if err != nil {
		return err
	}
	c.server.process = p
	c.host = fmt.Sprintf("https://127.0.0.1:%d", port)
	c.Config = c.As(admin)
	c.Kubeconfig = c.file("kubeconfig")
	if err := clientcmd.WriteToFile(c.kubeconfig(admin), c.Kubeconfig); err != nil {
		return err
	}
	return p.Wait(ctx, c.ready)
}

// RestartAPIServer ends the API server and starts it again at the same address, with what
// etcd holds. meanwhile is called while there is none.
func (c *Cluster) RestartAPIServer(ctx context.Context, meanwhile func()) error {
	c.server.process.Stop()
	meanwhile()
	p, err := c.run("kube-apiserver", c.Programs.APIServer, c.server.args...)
	if err != nil {
		return err
	}
	c.server.process = p
	return p.Wait(ctx, c.ready)
}

// WriteKubeconfig writes a file with which the named user speaks to the cluster.
func (c *Cluster) WriteKubeconfig(user, file string) error {
	return clientcmd.WriteToFile(c.kubeconfig(user), file)
}

// admission adds the files that say how the API server speaks to webhooks.
func (c *Cluster) admission(files map[string]string) error {
	var of strings.Builder
	of.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: WebhookAdmissionConfiguration\n")
	if name := c.options.WebhookClient; name != "" {
		pair, err := c.Authority.Issue(Request{Name: name, Client: true})
		if err != nil {
			return err
		}
		files["webhook-client.crt"], files["webhook-client.key"] = string(pair.Certificate), string(pair.Key)
		files["webhooks.kubeconfig"] = fmt.Sprintf("apiVersion: v1\nkind: Config\nusers: [{name: '*', user: {client-certificate: %s, client-key: %s}}]\n",
			c.file("webhook-client.crt"), c.file("webhook-client.key"))
		fmt.Fprintf(&of, "kubeConfigFile: %s\n", c.file("webhooks.kubeconfig"))
	}
	var plugins strings.Builder
	for _, kind := range []string{"Validating", "Mutating"} {
		config := of.String()
		if dir := c.options.StaticManifests; dir != "" {
			config += "staticManifestsDir: " + filepath.Join(dir, strings.ToLower(kind)) + "\n"
		}
		path := strings.ToLower(kind) + ".yaml"
		files[path] = config
		fmt.Fprintf(&plugins, "- {name: %sAdmissionWebhook, path: %s}\n", kind, c.file(path))
	}
	files["admission.yaml"] = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n" + plugins.String()
	return nil
}

func (c *Cluster) startControllers(ctx context.Context, port int) error {
	_, err := c.run("kube-controller-manager", c.Programs.ControllerManager, "--kubeconfig="+c.Kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--cert-dir="+c.dir, "--leader-elect=false",
		"--service-account-private-key-file="+c.file("sa.key"), "--root-ca-file="+c.file("ca.crt"), "--use-service-account-credentials=true",
		"--allocate-node-cidrs=false", "--controllers="+strings.Join([]string{
			"serviceaccount-controller", "serviceaccount-token-controller", "namespace-controller", "deployment-controller",
			"replicaset-controller", "job-controller", "garbage-collector-controller", "root-ca-certificate-publisher-controller",
		}, ","))
	return err // who needs it waits for what it does
}

// ready asks the API server whether it is.
func (c *Cluster) ready(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// As returns what a client of the named user is configured with. It has no limit of its
// own on how often it asks.
func (c *Cluster) As(user string) *rest.Config {
	return &rest.Config{Host: c.host, BearerToken: user + "-token", TLSClientConfig: rest.TLSClientConfig{CAData: c.Authority.PEM}, QPS: -1, WarningHandler: rest.NoWarnings{}}
}

func (c *Cluster) kubeconfig(user string) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters:  map[string]*clientcmdapi.Cluster{"test": {Server: c.host, CertificateAuthorityData: c.Authority.PEM}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{user: {Token: user + "-token"}},
		Contexts:  map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: user}}, CurrentContext: "test",
	}
}

// Kubectl runs kubectl as the administrator with nothing of the machine's own
// configuration, and returns what it says to both outputs.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return c.KubectlIn(ctx, "", stdin, args...)
}

// KubectlIn is Kubectl in a folder; "" for this process's.
func (c *Cluster) KubectlIn(ctx context.Context, dir, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Programs.Kubectl, args...)
	cmd.Dir = dir
	cmd.Env = []string{"KUBECONFIG=" + c.Kubeconfig, "HOME=" + c.dir}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
