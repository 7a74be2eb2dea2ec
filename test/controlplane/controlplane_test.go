package controlplane

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// orphanEnv makes this test binary a program that starts a control plane and is killed: the leash's case.
const orphanEnv = "CONTROLPLANE_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		orphan(dir)
	}
	os.Exit(m.Run())
}

func TestControlPlane(t *testing.T) {
	plane, err := Start(t.Context(), Options{Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	pids := recorded(t, plane.dir, etcd, apiServer, controllerManager)

	t.Run("an administrator", func(t *testing.T) {
		if name := whoAmI(t, plane.Config()); name != "admin" {
			t.Errorf("the administrator is %q", name)
		}
	})
	t.Run("a user has a name and no rights", func(t *testing.T) {
		config, err := plane.User("jane", "officers")
		if err != nil {
			t.Fatal(err)
		}
		if name := whoAmI(t, config); name != "jane" {
			t.Errorf("the user is %q", name)
		}
		_, err = kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if err == nil || !strings.Contains(err.Error(), `User "jane" cannot list resource "namespaces"`) {
			t.Errorf("RBAC answered %v", err)
		}
	})
	t.Run("a ServiceAccount, through a kubeconfig", func(t *testing.T) {
		config, err := plane.ServiceAccount(t.Context(), "default", "default")
		if err != nil {
			t.Fatal(err)
		}
		text, err := Kubeconfig(config, "test")
		if err != nil {
			t.Fatal(err)
		}
		config, err = clientcmd.RESTConfigFromKubeConfig(text)
		if err != nil {
			t.Fatal(err)
		}
		if name := whoAmI(t, config); name != "system:serviceaccount:default:default" {
			t.Errorf("the ServiceAccount is %q", name)
		}
	})
	t.Run("controllers turn a Deployment into a pod, which waits for a node", func(t *testing.T) {
		client := kubernetes.NewForConfigOrDie(plane.Config())
		pods, err := client.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer pods.Stop()
		labels := map[string]string{"app": "example"}
		_, err = client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "example"},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/app:1"}}},
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case event := <-pods.ResultChan():
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || pod.Spec.ServiceAccountName != "default" || pod.Status.Phase != corev1.PodPending {
				t.Errorf("the first pod is %v", event.Object)
			}
		case <-time.After(time.Minute):
			t.Error("no pod within a minute")
		}
	})
	t.Run("a program that ends by itself is reported with its last words", func(t *testing.T) {
		p, err := plane.Run("short-lived", "/bin/sh", "-c", "echo I cannot go on; exit 3")
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if err := p.Err(); !strings.Contains(err.Error(), "short-lived") || !strings.Contains(err.Error(), "I cannot go on") {
			t.Errorf("reported as: %v", err)
		}
	})

	t.Run("an API server that was killed goes on where it was", func(t *testing.T) {
		config := plane.Config()
		client := kubernetes.NewForConfigOrDie(config)
		if err := plane.KillAPIServer(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err == nil {
			t.Error("it still answers")
		}
		if err := plane.RestartAPIServer(); err != nil {
			t.Fatal(err)
		}
		if name := whoAmI(t, config); name != "admin" {
			t.Errorf("the administrator is %q", name)
		}
		if _, err := client.AppsV1().Deployments("default").Get(t.Context(), "example", metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
		again := recorded(t, plane.dir, apiServer)
		if again[apiServer] == pids[apiServer] {
			t.Error("it was not killed")
		}
		pids[apiServer] = again[apiServer]
	})

	if err := plane.Stop(); err != nil {
		t.Error(err)
	}
	ended(t, plane.dir, pids)
}

func TestNothingOutlivesItsStarter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	starter := exec.CommandContext(t.Context(), os.Args[0])
	starter.Env = append(os.Environ(), orphanEnv+"="+dir)
	starter.Stderr = os.Stderr
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the starter said %q: %v", line, err)
	}
	pids := recorded(t, dir, etcd, apiServer, "companion")
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait() // killed, as intended
	ended(t, dir, pids)
}

// orphan starts a control plane and a program beside it, says so, and waits to be killed.
func orphan(dir string) {
	plane, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	// It says so itself, because only then is its process id recorded.
	if _, err := plane.Run("companion", "/bin/sh", "-c", "echo started; exec sleep 600"); err != nil {
		panic(err)
	}
	for {
		if text, _ := os.ReadFile(plane.Log("companion")); len(text) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("started")
	select {}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", "")
	_, err := Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), "KUBEBUILDER_ASSETS is not set") {
		t.Errorf("without a directory: %v", err)
	}
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	_, err = Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), "does not hold it") {
		t.Errorf("with an empty directory: %v", err)
	}
}

func TestStartQuotesTheProcessThatFailed(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho the disk is full >&2\nexit 1\n"
	for _, name := range []string{etcd, apiServer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	_, err := Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), "etcd") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("reported as: %v", err)
	}
}

func whoAmI(t *testing.T, config *rest.Config) string {
	t.Helper()
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username
}

// recorded reads the process ids of running programs.
func recorded(t *testing.T, dir string, names ...string) map[string]int {
	t.Helper()
	pids := map[string]int{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, "run", name+".pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !runs(pid) {
			t.Errorf("%s does not run", name)
		}
		pids[name] = pid
	}
	return pids
}

// ended fails unless the processes and their directory are gone soon.
func ended(t *testing.T, dir string, pids map[string]int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for name, pid := range pids {
		for runs(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("%s still runs", name)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "run")); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// runs is false for a process that has ended and was not yet reaped; on some machines nobody does that soon.
func runs(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
		return false
	}
	return syscall.Kill(pid, 0) == nil
}
