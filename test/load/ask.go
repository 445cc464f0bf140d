package main

import (
	"encoding/json"
	"fmt"

	"github.com/pedigree-ml/pedigree/attest"
)

// A way is how the gate is asked.
type way struct {
	name   string
	secure bool // TLS and HTTP/2
	path   string
	body   func(attest.Reference) json.RawMessage
}

var (
	plainVerify  = way{"verify, plain HTTP/1.1", false, "/v1/verify", question}
	secureVerify = way{"verify, TLS and HTTP/2", true, "/v1/verify", question}
	secureAdmit  = way{"admit, TLS and HTTP/2", true, "/admit?timeout=10s", review}
)

// question is a body of /v1/verify.
func question(ref attest.Reference) json.RawMessage {
	return marshal(map[string]string{"reference": digestOnly(ref), "context": "prod"})
}

func digestOnly(ref attest.Reference) string {
	ref.Tag = ""
	return ref.String()
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // unreachable: strings, numbers, maps
	}
	return b
}

// review is a body of /admit, as an API server writes it: a pod with a runtime's image
// and a model in a volume, and what clients, controllers and the server itself put into
// every pod.
func review(ref attest.Reference) json.RawMessage {
	return fmt.Appendf(nil, podReview, digestOnly(ref))
}

const podReview = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},
"name":"scoring-6d4cf56db6-7xk2p","namespace":"credit","operation":"CREATE",
"userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","uid":"0f3b2d1c-1111-4222-8333-944455556666","groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"],
"extra":{"authentication.kubernetes.io/credential-id":["JTI=4ad6ddb0-2c77-4e59-b9a5-3d2d3a1a6a1c"]}},
"object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"scoring-6d4cf56db6-7xk2p","generateName":"scoring-6d4cf56db6-","namespace":"credit","uid":"9b0f7b7e-5f0e-4a4a-8f6e-6a5a3c2b1d0e","creationTimestamp":"2026-11-24T04:00:00Z",
"labels":{"app.kubernetes.io/name":"scoring","app.kubernetes.io/instance":"prod","app.kubernetes.io/version":"1.4.2","pod-template-hash":"6d4cf56db6"},
"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"9090","kubectl.kubernetes.io/restartedAt":"2026-11-24T03:59:58Z"},
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"scoring-6d4cf56db6","uid":"1d8e3b44-3333-4b1b-9d7d-2b4c6d8e0f10","controller":true,"blockOwnerDeletion":true}],
"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-24T04:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"1d8e3b44-3333-4b1b-9d7d-2b4c6d8e0f10\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"scoring\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:httpGet":{".":{},"f:path":{},"f:port":{}}},"f:name":{},"f:ports":{},"f:resources":{},"f:terminationMessagePath":{},"f:volumeMounts":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:volumes":{}}}}]},
"spec":{"volumes":[{"name":"model","image":{"reference":%q,"pullPolicy":"IfNotPresent"}},{"name":"scratch","emptyDir":{}},{"name":"kube-api-access-x7k2p","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],
"containers":[{"name":"scoring","image":"registry.example/serving/triton@sha256:38b6dbf6fb4b0311a3ffc005730f42623128591fb36473ab3c22d270c0467632","args":["--model-repository=/models","--http-port=8080","--metrics-port=9090"],"ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},{"name":"metrics","containerPort":9090,"protocol":"TCP"}],
"env":[{"name":"OMP_NUM_THREADS","value":"4"},{"name":"POD_NAME","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}},{"name":"LOG_LEVEL","value":"info"}],
"resources":{"limits":{"cpu":"4","memory":"8Gi"},"requests":{"cpu":"2","memory":"8Gi"}},"volumeMounts":[{"name":"model","readOnly":true,"mountPath":"/models"},{"name":"scratch","mountPath":"/tmp"},{"name":"kube-api-access-x7k2p","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],
"livenessProbe":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},"readinessProbe":{"httpGet":{"path":"/v2/health/ready","port":8080,"scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":5,"successThreshold":1,"failureThreshold":3},
"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","securityContext":{"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false}}],
"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"scoring","serviceAccount":"scoring","securityContext":{"fsGroup":2000},"schedulerName":"default-scheduler",
"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},
"status":{"phase":"Pending","qosClass":"Burstable"}},"oldObject":null,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`
