package v1alpha1

// Condition types. Ready is on all four kinds that people write.
const (
	// ConditionReady says whether the object does what it was written for.
	//
	// Purpose: True Valid; False ParentNotFound, CycleDetected, ControllerNotFound, ControllerMismatch, NotYetInForce, Withdrawn.
	// DataProcessor: True Valid; False NamespaceConflict, NamespaceNotFound, NamespaceRecreated, Suspended, SelectionRejected, TooManyGrants.
	// PersonalDataStore: True Enforced, Reporting; False ControllerNotFound, NoEffectivePurpose, PurposeNotFound, Suspended, NotIsolated, CredentialNotFound, EndpointConflict.
	// Entrustment: True Enforced, RecordedOnly; False the reason of the first False of Authorized, ScopeValid, Active, TransferBasisPresent.
	ConditionReady = "Ready"

	// ConditionSelectionCurrent of a DataProcessor: True SelectionCurrent, SelectionExpiresSoon (30 days), NotEntrusted; False SelectionMissing, SelectionExpired.
	ConditionSelectionCurrent = "SelectionCurrent"

	// ConditionIsolated of a PersonalDataStore: True PoliciesApplied; False PolicyPending, ForeignNetworkPolicy,
	// NoPodsSelected, HostNetworkPods, ExternalPartial, NotEnforced, Reporting.
	ConditionIsolated = "Isolated"

	// ConditionGuarded of a PersonalDataStore says whether the webhooks that guard it are as they ship: True AsShipped;
	// False WebhookMissing, WebhookAltered.
	ConditionGuarded = "Guarded"

	// ConditionCredentialsDelivered of a PersonalDataStore: True Delivered, NoneDeclared; False SecretNotFound,
	// SecretRefused (a token of the cluster, or a delivered Secret), NameConflict,
	// DeliveryPending (a copy cannot be written).
	ConditionCredentialsDelivered = "CredentialsDelivered"

	// ConditionCollationPossible of a PersonalDataStore; True is the problem: SharedPurposes; False NotPseudonymised, NoSharedPurposes.
	// APPI art. 41(7) forbids collating pseudonymised data to identify the person.
	ConditionCollationPossible = "CollationPossible"

	// ConditionAuthorized of an Entrustment: True ByController, PriorApproval, NoticeElapsed; False EntrusterNotController,
	// EntrusterNotParentEntrustee, MixedControllers, SubEntrustmentProhibited, NotApproved, NoticePeriodRunning, Objected,
	// ParentNotFound, ChainLoops, SelectionRejected. GDPR art. 28(2) and (4); APPI guideline on entrustment.
	ConditionAuthorized = "Authorized"

	// ConditionScopeValid of an Entrustment: True WithinScope; False ExceedsParentScope, ExceedsStorePurposes (these two clip),
	// CategoryNotEntrusted, StoreNotFound, RecipientNotAllowed, TerritoryNotAllowed.
	ConditionScopeValid = "ScopeValid"

	// ConditionActive of an Entrustment: True InForce; False NotYetInForce, Expired, Suspended, ParentNotActive,
	// ProcessorNotFound, ProcessorSuspended, SelectionRejected, ReviewOverdue, Terminating.
	ConditionActive = "Active"

	// ConditionTransferBasisPresent of an Entrustment: True Domestic, BasisRecorded, CheckOverdue; False TransferBasisMissing.
	// APPI art. 28; GDPR art. 44 to 49.
	ConditionTransferBasisPresent = "TransferBasisPresent"

	// ConditionContractComplete of an Entrustment: True ClausesPresent; False ClauseMissing. GDPR art. 28(3)(a) to (h).
	ConditionContractComplete = "ContractComplete"

	// ConditionSupervisionCurrent of an Entrustment: True ReviewCurrent, ReviewDueSoon; False ReviewOverdue, LastReviewUnsatisfactory.
	// APPI art. 25; GDPR art. 28(3)(h).
	ConditionSupervisionCurrent = "SupervisionCurrent"

	// ConditionRevoked of an Entrustment says whether all that it opened is proved closed: True Verified, when no policy, no
	// credential and no pod of it is left; False InForce, while nothing but a store, a purpose or a namespace can deny what is asked
	// under it, and Draining, from its end until then. Absent of one that never was in force: it opened nothing.
	ConditionRevoked = "Revoked"

	// ConditionEnding of an Entrustment, and of a Purpose that ends, is True from 30 days before the end that time alone will
	// bring: EndsWithin30Days, EndsWithin7Days, EndsWithin1Day, Ended; False EndsLater.
	ConditionEnding = "Ending"

	// ConditionDisposed of an Entrustment: True Completed; False NotDue, Pending, Overdue.
	ConditionDisposed = "Disposed"
)

// Reason is a word of the API that says why: of a decision, of a condition, or of both.
type Reason string

// Reasons of decisions, in the order in which the tests are made; many are reasons of conditions too.
const (
	ReasonNamespaceNotBound           Reason = "NamespaceNotBound"
	ReasonProcessorSuspended          Reason = "ProcessorSuspended"
	ReasonPurposeNotDeclared          Reason = "PurposeNotDeclared"
	ReasonPurposeUnknown              Reason = "PurposeUnknown"
	ReasonPurposeProhibited           Reason = "PurposeProhibited"
	ReasonPurposeNotInForce           Reason = "PurposeNotInForce"
	ReasonPurposeNotAssigned          Reason = "PurposeNotAssignedToNamespace"
	ReasonStoreNotFound               Reason = "StoreNotFound"
	ReasonStoreSuspended              Reason = "StoreSuspended"
	ReasonNoEntrustment               Reason = "NoEntrustment"
	ReasonEntrustmentNotFound         Reason = "EntrustmentNotFound"
	ReasonNotEntrustee                Reason = "NotEntrustee"
	ReasonMixedControllers            Reason = "MixedControllers"
	ReasonEntrusterNotController      Reason = "EntrusterNotController"
	ReasonEntrusterNotParentEntrustee Reason = "EntrusterNotParentEntrustee"
	ReasonChainLoops                  Reason = "ChainLoops"
	ReasonSubEntrustmentProhibited    Reason = "SubEntrustmentProhibited"
	ReasonObjected                    Reason = "Objected"
	ReasonNotApproved                 Reason = "NotApproved"
	ReasonNoticePeriodRunning         Reason = "NoticePeriodRunning"
	ReasonStoreOfOtherController      Reason = "StoreOfOtherController"
	ReasonSuspended                   Reason = "Suspended"
	ReasonProcessorNotFound           Reason = "ProcessorNotFound"
	ReasonSelectionRejected           Reason = "SelectionRejected"
	ReasonNotYetInForce               Reason = "NotYetInForce"
	ReasonExpired                     Reason = "Expired"
	ReasonReviewOverdue               Reason = "ReviewOverdue"
	ReasonTerritoryNotAllowed         Reason = "TerritoryNotAllowed"
	ReasonTransferBasisMissing        Reason = "TransferBasisMissing"
	ReasonRecipientNotAllowed         Reason = "RecipientNotAllowed"
	ReasonPurposeOfOtherController    Reason = "PurposeOfOtherController"
	ReasonPurposeTooGeneral           Reason = "PurposeTooGeneral"
	ReasonPurposeNotIntended          Reason = "PurposeNotIntended"
	ReasonPurposeProhibitedForStore   Reason = "PurposeProhibitedForStore"
	ReasonConsentNotEvidenced         Reason = "ConsentNotEvidenced"
	ReasonDataFormForbids             Reason = "DataFormForbids"
	ReasonStoreNotEntrusted           Reason = "StoreNotEntrusted"
	ReasonPurposeNotEntrusted         Reason = "PurposeNotEntrusted"
	ReasonCategoryNotEntrusted        Reason = "CategoryNotEntrusted"
	ReasonTooManyGrants               Reason = "TooManyGrants"
	ReasonControllerHandling          Reason = "ControllerHandling"
	ReasonEntrusted                   Reason = "Entrusted"
)

// Reasons of conditions alone.
const (
	ReasonValid                    Reason = "Valid"
	ReasonParentNotFound           Reason = "ParentNotFound"
	ReasonCycleDetected            Reason = "CycleDetected"
	ReasonControllerNotFound       Reason = "ControllerNotFound"
	ReasonControllerMismatch       Reason = "ControllerMismatch"
	ReasonWithdrawn                Reason = "Withdrawn"
	ReasonNamespaceConflict        Reason = "NamespaceConflict"
	ReasonNamespaceNotFound        Reason = "NamespaceNotFound"
	ReasonNamespaceRecreated       Reason = "NamespaceRecreated"
	ReasonSelectionCurrent         Reason = "SelectionCurrent"
	ReasonNotEntrusted             Reason = "NotEntrusted"
	ReasonSelectionMissing         Reason = "SelectionMissing"
	ReasonSelectionExpired         Reason = "SelectionExpired"
	ReasonEnforced                 Reason = "Enforced"
	ReasonReporting                Reason = "Reporting"
	ReasonNoEffectivePurpose       Reason = "NoEffectivePurpose"
	ReasonPurposeNotFound          Reason = "PurposeNotFound"
	ReasonNotIsolated              Reason = "NotIsolated"
	ReasonCredentialNotFound       Reason = "CredentialNotFound"
	ReasonEndpointConflict         Reason = "EndpointConflict"
	ReasonPoliciesApplied          Reason = "PoliciesApplied"
	ReasonPolicyPending            Reason = "PolicyPending"
	ReasonForeignNetworkPolicy     Reason = "ForeignNetworkPolicy"
	ReasonNoPodsSelected           Reason = "NoPodsSelected"
	ReasonHostNetworkPods          Reason = "HostNetworkPods"
	ReasonExternalPartial          Reason = "ExternalPartial"
	ReasonNotEnforced              Reason = "NotEnforced"
	ReasonAsShipped                Reason = "AsShipped"
	ReasonWebhookMissing           Reason = "WebhookMissing"
	ReasonWebhookAltered           Reason = "WebhookAltered"
	ReasonDelivered                Reason = "Delivered"
	ReasonNoneDeclared             Reason = "NoneDeclared"
	ReasonSecretNotFound           Reason = "SecretNotFound"
	ReasonSecretRefused            Reason = "SecretRefused"
	ReasonNameConflict             Reason = "NameConflict"
	ReasonDeliveryPending          Reason = "DeliveryPending"
	ReasonSharedPurposes           Reason = "SharedPurposes"
	ReasonNotPseudonymised         Reason = "NotPseudonymised"
	ReasonNoSharedPurposes         Reason = "NoSharedPurposes"
	ReasonRecordedOnly             Reason = "RecordedOnly"
	ReasonByController             Reason = "ByController"
	ReasonPriorApproval            Reason = "PriorApproval"
	ReasonNoticeElapsed            Reason = "NoticeElapsed"
	ReasonWithinScope              Reason = "WithinScope"
	ReasonExceedsParentScope       Reason = "ExceedsParentScope"
	ReasonExceedsStorePurposes     Reason = "ExceedsStorePurposes"
	ReasonInForce                  Reason = "InForce"
	ReasonParentNotActive          Reason = "ParentNotActive"
	ReasonTerminating              Reason = "Terminating"
	ReasonDomestic                 Reason = "Domestic"
	ReasonBasisRecorded            Reason = "BasisRecorded"
	ReasonCheckOverdue             Reason = "CheckOverdue"
	ReasonClausesPresent           Reason = "ClausesPresent"
	ReasonClauseMissing            Reason = "ClauseMissing"
	ReasonReviewCurrent            Reason = "ReviewCurrent"
	ReasonReviewDueSoon            Reason = "ReviewDueSoon"
	ReasonLastReviewUnsatisfactory Reason = "LastReviewUnsatisfactory"
	ReasonEndsLater                Reason = "EndsLater"
	ReasonEndsWithin30Days         Reason = "EndsWithin30Days"
	ReasonEndsWithin7Days          Reason = "EndsWithin7Days"
	ReasonEndsWithin1Day           Reason = "EndsWithin1Day"
	ReasonEnded                    Reason = "Ended"
	ReasonSelectionExpiresSoon     Reason = "SelectionExpiresSoon"
	ReasonVerified                 Reason = "Verified"
	ReasonDraining                 Reason = "Draining"
	ReasonCompleted                Reason = "Completed"
	ReasonNotDue                   Reason = "NotDue"
	ReasonPending                  Reason = "Pending"
	ReasonOverdue                  Reason = "Overdue"
)

// Reasons of answers at admission alone, and of the events about them.
const (
	// ReasonIntervened of an event: somebody who may do so reached into a pod that holds or processes personal data.
	ReasonIntervened Reason = "Intervened"
	// ReasonInterventionNotPermitted refuses to reach into such a pod.
	ReasonInterventionNotPermitted Reason = "InterventionNotPermitted"
	// ReasonLeadsToStore refuses an address that would lead past the policy of a store.
	ReasonLeadsToStore Reason = "LeadsToStore"
	// ReasonInUse refuses to delete what others depend on.
	ReasonInUse Reason = "InUse"
)
