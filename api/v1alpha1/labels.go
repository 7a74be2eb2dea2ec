package v1alpha1

// Keys a workload carries. Both are single-valued and immutable once the pod exists.
const (
	// LabelPurpose on a Pod names the one Purpose for which it processes personal data. Without it no store is reachable. On a
	// ServiceAccount it says the same of every pod that uses the account.
	LabelPurpose = Group + "/purpose"
	// LabelEntrustment on a Pod names the one Entrustment under which it acts. Absent: the data controller's own handling.
	LabelEntrustment = Group + "/entrustment"
)

// Labels of the objects that the operator makes. They carry ownership across namespaces, where owner references
// cannot reach.
const (
	LabelManagedBy      = "app.kubernetes.io/managed-by"
	LabelStore          = Group + "/store"
	LabelStoreNamespace = Group + "/store-namespace"
	LabelCredential     = Group + "/credential"

	// LabelNamespaceUID of a PersonalDataAccess is the UID of the namespace whose grants it shows. One that was deleted and
	// made anew under the same name is another namespace, and is granted nothing by it.
	LabelNamespaceUID = Group + "/namespace-uid"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "entrustment-operator"
)

const (
	// ReservedSecretPrefix starts the name of every delivered Secret, and of the Roles that read them; nobody but the operator
	// makes such an object.
	ReservedSecretPrefix = "pds."

	// PersonalDataAccessName is the name of the one PersonalDataAccess of a bound namespace.
	PersonalDataAccessName = "effective"

	// FinalizerIsolation keeps a PersonalDataStore until its pods are gone, so that deleting the object never opens them.
	FinalizerIsolation = Group + "/isolation"

	// FinalizerDisposal keeps an Entrustment that has been in force until the data are recorded as returned or erased, so that
	// the record does not vanish with the access. One that never was in force has none.
	FinalizerDisposal = Group + "/disposal"
)

// MaxGrants and MaxAccessBytes bound one PersonalDataAccess. What does not fit is denied by every output.
const (
	MaxGrants      = 512
	MaxAccessBytes = 256 << 10
)

// MaxTerminationGracePeriodSeconds bounds how long a pod that acts under a contract may take to end. From the contract's end, or
// from its revocation, it may go on for as long.
const MaxTerminationGracePeriodSeconds = 300

// DeliveredSecretName is the name under which a store's credential appears in the namespaces that have a grant for it.
func DeliveredSecretName(storeNamespace, store, credential string) string {
	return ReservedSecretPrefix + storeNamespace + "." + store + "." + credential
}

// The operator's own installation.
const (
	OperatorNamespace      = "entrustment-system"
	OperatorServiceAccount = "entrustment-operator"

	// SecretAccessName is the ClusterRole to which the operator binds itself in the namespaces whose Secrets it has to read or
	// write, and the name of those bindings.
	SecretAccessName = "entrustment-operator-secrets"

	// LedgerHeadsName is the ConfigMap in the operator's namespace that holds the head of each replica's ledger.
	LedgerHeadsName = "entrustment-operator-ledger"
)

// ReaderName is the Role, and its binding, by which the ServiceAccounts that declare a purpose and an entrustment read what
// they are granted. Neither name has a dot, so no two grants share one.
func ReaderName(purpose, entrustment string) string {
	if entrustment == "" {
		return ReservedSecretPrefix + purpose
	}
	return ReservedSecretPrefix + purpose + "." + entrustment
}

// RotationRecordName is the Secret beside a store that tells which of its credentials have to be changed.
func RotationRecordName(store string) string { return ReservedSecretPrefix + "rotation." + store }
