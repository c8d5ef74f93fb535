package kubernetes

import (
	"context"
	"errors"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1alpha2 "k8s.io/api/scheduling/v1alpha2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// api is the kinds of objects that the engine reads and writes, and no more:
// client-go's clientset would bring every kind of Kubernetes into the binary.
type api struct {
	namespace string
	core      rest.Interface

	records   func(form) metadata.ResourceInterface // of gangs, whatever they are
	jobs      *gentype.Client[*batchv1.Job]
	pods      *gentype.ClientWithList[*corev1.Pod, *corev1.PodList]
	nodes     *gentype.ClientWithList[*corev1.Node, *corev1.NodeList]
	allPods   *gentype.ClientWithList[*corev1.Pod, *corev1.PodList] // of every namespace
	services  *gentype.Client[*corev1.Service]
	secrets   *gentype.Client[*corev1.Secret]
	fences    *gentype.ClientWithList[*corev1.ConfigMap, *corev1.ConfigMapList]
	podGroups *gentype.Client[*schedulingv1alpha2.PodGroup]
}

func newAPI(config *rest.Config, namespace string) (*api, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, batchv1.AddToScheme, schedulingv1alpha2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	codecs := serializer.NewCodecFactory(scheme)
	parameters := runtime.NewParameterCodec(scheme)
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client := func(version schema.GroupVersion) (rest.Interface, error) {
		c := rest.CopyConfig(config)
		c.GroupVersion, c.APIPath = &version, "/apis"
		if version.Group == "" {
			c.APIPath = "/api"
		}
		c.NegotiatedSerializer = codecs.WithoutConversion()
		return rest.RESTClientForConfigAndClient(c, http)
	}
	core, err := client(corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	batch, err := client(batchv1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	scheduling, err := client(schedulingv1alpha2.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), http)
	if err != nil {
		return nil, err
	}
	return &api{
		namespace: namespace, core: core,
		records:   func(f form) metadata.ResourceInterface { return objects.Resource(f.resource()).Namespace(namespace) },
		jobs:      gentype.NewClient("jobs", batch, parameters, namespace, func() *batchv1.Job { return &batchv1.Job{} }, gentype.PrefersProtobuf[*batchv1.Job]()),
		pods:      kind[*corev1.Pod, *corev1.PodList]("pods", core, parameters, namespace, func() *corev1.Pod { return &corev1.Pod{} }, func() *corev1.PodList { return &corev1.PodList{} }),
		allPods:   kind[*corev1.Pod, *corev1.PodList]("pods", core, parameters, "", func() *corev1.Pod { return &corev1.Pod{} }, func() *corev1.PodList { return &corev1.PodList{} }),
		nodes:     kind[*corev1.Node, *corev1.NodeList]("nodes", core, parameters, "", func() *corev1.Node { return &corev1.Node{} }, func() *corev1.NodeList { return &corev1.NodeList{} }),
		fences:    kind[*corev1.ConfigMap, *corev1.ConfigMapList]("configmaps", core, parameters, namespace, func() *corev1.ConfigMap { return &corev1.ConfigMap{} }, func() *corev1.ConfigMapList { return &corev1.ConfigMapList{} }),
		services:  gentype.NewClient("services", core, parameters, namespace, func() *corev1.Service { return &corev1.Service{} }, gentype.PrefersProtobuf[*corev1.Service]()),
		secrets:   gentype.NewClient("secrets", core, parameters, namespace, func() *corev1.Secret { return &corev1.Secret{} }, gentype.PrefersProtobuf[*corev1.Secret]()),
		podGroups: gentype.NewClient("podgroups", scheduling, parameters, namespace, func() *schedulingv1alpha2.PodGroup { return &schedulingv1alpha2.PodGroup{} }),
	}, nil
}

func kind[T interface {
	metav1.Object
	runtime.Object
}, L runtime.Object](resource string, client rest.Interface, parameters runtime.ParameterCodec, namespace string, one func() T, list func() L) *gentype.ClientWithList[T, L] {
	return gentype.NewClientWithList[T, L](resource, client, parameters, namespace, one, list, gentype.PrefersProtobuf[T]())
}

// failure gives an error of the API its kind.
func failure(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fault.Wrap(fault.NotFound, err, doing)
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return fault.Wrap(fault.Quota, err, doing)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err), apierrors.IsRequestEntityTooLargeError(err):
		return fault.Wrap(fault.Invalid, err, doing)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fault.Wrap(fault.Conflict, err, doing)
	case errors.Is(err, context.Canceled):
		return fault.Wrap(fault.Transient, err, doing)
	}
	return fault.Wrap(fault.Transient, err, doing) // the network, a timeout, too many requests, an outage
}
